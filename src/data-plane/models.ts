import { GatewayError } from '../errors.ts';
import type { Identity } from '../plugin-api/auth.ts';
import type { ModelInfo } from '../plugin-api/models.ts';
import type { Group } from './routing/group.ts';
import type { Surface } from './surface/surface.ts';

/** OpenAI's model object. */
export interface ModelObject {
  readonly id: string;
  readonly object: 'model';
  /** Epoch seconds; when the gateway came up, since upstreams are not asked. */
  readonly created: number;
  readonly owned_by: string;
}

/** The models that clients can ask for. */
export function toModels(groups: ReadonlyMap<string, Group>): readonly ModelInfo[] {
  const models = [...groups.values()].map(({ name, candidates }) =>
    Object.freeze({
      id: name,
      ownedBy: candidates[0]?.provider ?? 'routeiq',
      providers: Object.freeze([...new Set(candidates.map(({ provider }) => provider))]),
      deployments: candidates.length,
    }),
  );
  return Object.freeze(models);
}

export function toModelObject(model: ModelInfo, created: number): ModelObject {
  return { id: model.id, object: 'model', created, owned_by: model.ownedBy };
}

/** Anthropic's model object. Source: Anthropic's API reference, heading "List Models". */
export interface AnthropicModelObject {
  readonly type: 'model';
  readonly id: string;
  readonly display_name: string;
  /** RFC 3339. */
  readonly created_at: string;
}

/** One page of models, as Anthropic's API has it. */
export interface AnthropicModelPage {
  readonly data: readonly AnthropicModelObject[];
  readonly has_more: false;
  readonly first_id: string | null;
  readonly last_id: string | null;
}

/** @param created epoch seconds */
export function toAnthropicModel({ id }: ModelInfo, created: number): AnthropicModelObject {
  return { type: 'model', id, display_name: id, created_at: new Date(created * 1000).toISOString() };
}

/** All models are one page, whatever size of pages a client asks for. */
export function toAnthropicPage(models: readonly ModelInfo[], created: number): AnthropicModelPage {
  return {
    data: models.map((model) => toAnthropicModel(model, created)),
    has_more: false,
    first_id: models[0]?.id ?? null,
    last_id: models.at(-1)?.id ?? null,
  };
}

/** True when the caller's identity does not keep it from the model. */
export function mayUse(identity: Identity | null, model: string): boolean {
  return identity?.models === undefined || identity.models.includes(model);
}

/** @throws GatewayError `permission_error` */
export function assertMayUse(identity: Identity | null, model: string): void {
  if (mayUse(identity, model)) return;
  throw new GatewayError(
    'permission_error',
    `"${identity?.id}" may not use the model ${JSON.stringify(model)}`,
    { param: 'model' },
  );
}

/** As OpenAI answers when a chat model is asked for a text completion. A provider speaks one API or another. */
export function notServed(model: string, { name, path }: Surface): GatewayError {
  // A guess would be taken for a count: clients cut their prompts by it.
  const why =
    name === 'messages.count_tokens'
      ? 'its provider does not count tokens, and the gateway does not guess'
      : 'its provider does not have it';
  return new GatewayError(
    'model_not_found',
    `The model ${JSON.stringify(model)} does not serve ${path}: ${why}`,
    { param: 'model' },
  );
}

export function modelNotFound(model: string): GatewayError {
  return new GatewayError(
    'model_not_found',
    `The model ${JSON.stringify(model.slice(0, 200))} does not exist or you do not have access to it`,
    { param: 'model' },
  );
}
