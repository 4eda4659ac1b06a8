import type { DeploymentConfig } from '../../config/types.ts';
import type { ProviderPhase } from '../../pipeline/types.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import type { ProviderDeployment } from '../../plugin-api/provider.ts';
import { ProviderUpstream } from '../upstream/provider-upstream.ts';
import type { Redact } from '../upstream/redact.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type ClientDialect, dialectsOf } from './client/table.ts';
import { CrossingUpstream } from './crossing-upstream.ts';
import { DialectCarrier } from './dialect-carrier.ts';
import { ModelCarrier } from './model-carrier.ts';
import { chatTarget, MESSAGES_TARGET, type Target } from './upstream/target.ts';

type Deployment = Pick<DeploymentConfig, 'id' | 'model'>;
type OpenAiDeployment = Pick<DeploymentConfig, 'provider' | 'apiBase' | 'responsesOverChat'> & Deployment;

const MESSAGES = dialectsOf('messages');
const ALL_BUT_CHAT = dialectsOf('responses', 'messages');
const ALL_BUT_MESSAGES = dialectsOf('chat.completions', 'responses');
const ALL = dialectsOf('chat.completions', 'responses', 'messages');

/** An upstream of OpenAI's API, for clients of Anthropic's too. */
export function overOpenAi(native: Upstream, deployment: OpenAiDeployment): Upstream {
  const { provider, apiBase, responsesOverChat } = deployment;
  const isOpenAi = provider === 'azure' || (provider === 'openai' && apiBase === null);
  const target = chatTarget({ outputLimit: isOpenAi ? 'max_completion_tokens' : 'max_tokens' });
  return cross(native, deployment, target, responsesOverChat ? ALL_BUT_CHAT : MESSAGES);
}

/** An upstream of Anthropic's API, for clients of OpenAI's too. */
export function overMessages(native: Upstream, deployment: Deployment): Upstream {
  return cross(native, deployment, MESSAGES_TARGET, ALL_BUT_MESSAGES);
}

/** A provider that is code, for clients of all dialects. Its model is preferred where it has no method of its own. */
export function overProvider(
  provider: ProviderPhase,
  deployment: ProviderDeployment,
  redact: Redact,
): Upstream {
  const native = new ProviderUpstream(provider, deployment, redact);
  const { chat, languageModel } = provider;
  if (languageModel !== null) {
    const carrier = new ModelCarrier(languageModel, deployment, redact);
    return new CrossingUpstream(native, carrier, chat === null ? ALL : ALL_BUT_CHAT);
  }
  if (chat === null) return native;
  // As in a call that passes through: the deployment has the upstream's name for the model.
  return cross(native, { id: deployment.id, model: deployment.group }, CHAT_PROVIDER, ALL_BUT_CHAT);
}

const CHAT_PROVIDER = chatTarget({ outputLimit: 'max_completion_tokens' });

function cross(
  native: Upstream,
  { id, model }: Deployment,
  target: Target,
  crossed: ReadonlyMap<LlmSurface, ClientDialect>,
): Upstream {
  const carrier = new DialectCarrier({ native, target, deployment: id, model });
  return new CrossingUpstream(native, carrier, crossed);
}
