import type { DeploymentConfig } from '../../config/types.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type ClientDialect, dialectsOf } from './client/table.ts';
import { CrossingUpstream } from './crossing-upstream.ts';
import { chatTarget, MESSAGES_TARGET, type Target } from './upstream/target.ts';

type Deployment = Pick<DeploymentConfig, 'id' | 'model' | 'provider' | 'apiBase' | 'responsesOverChat'>;

const MESSAGES_ONLY = dialectsOf('messages');
const RESPONSES_AND_MESSAGES = dialectsOf('responses', 'messages');
const CHAT_AND_RESPONSES = dialectsOf('chat.completions', 'responses');

/** An upstream of OpenAI's API, for clients of Anthropic's too. */
export function overOpenAi(native: Upstream, deployment: Deployment): Upstream {
  const { provider, apiBase, responsesOverChat } = deployment;
  const isOpenAi = provider === 'azure' || (provider === 'openai' && apiBase === null);
  const target = chatTarget({ outputLimit: isOpenAi ? 'max_completion_tokens' : 'max_tokens' });
  return cross(native, deployment, target, responsesOverChat ? RESPONSES_AND_MESSAGES : MESSAGES_ONLY);
}

/** An upstream of Anthropic's API, for clients of OpenAI's too. */
export function overMessages(native: Upstream, deployment: Deployment): Upstream {
  return cross(native, deployment, MESSAGES_TARGET, CHAT_AND_RESPONSES);
}

const CHAT_PROVIDER = chatTarget({ outputLimit: 'max_completion_tokens' });

/** An upstream that has chat completions alone, for clients of the other dialects too. */
export function overChat(native: Upstream, deployment: Deployment): Upstream {
  return cross(native, deployment, CHAT_PROVIDER, RESPONSES_AND_MESSAGES);
}

function cross(
  native: Upstream,
  { id, model }: Deployment,
  target: Target,
  crossed: ReadonlyMap<LlmSurface, ClientDialect>,
): Upstream {
  return new CrossingUpstream({ native, target, crossed, deployment: id, model });
}
