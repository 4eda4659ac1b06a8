import type { JsonObject } from '../json-value.ts';
import { CHAT_STREAM, textOfChat } from './chat.ts';
import type { Surface } from './surface.ts';

/** `POST /v1/chat/completions`: the one surface that providers of plugins serve as well. */
export const CHAT: Surface = define({
  name: 'chat.completions',
  path: '/v1/chat/completions',
  textOf: textOfChat,
  stream: CHAT_STREAM,
});

/** All surfaces of the data plane whose upstreams speak the client's dialect. */
export const SURFACES: readonly Surface[] = Object.freeze([CHAT]);

/** The version is a part of `api_base`. */
function define(fields: Pick<Surface, 'name' | 'path'> & Partial<Surface>): Surface {
  return Object.freeze({
    upstreamPath: fields.path.replace(/^\/v1/, ''),
    defaultModel: null,
    textOf: noText,
    stream: null,
    ...fields,
  });
}

function noText(_body: JsonObject): string {
  return '';
}
