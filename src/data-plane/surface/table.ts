import { isObject, type JsonObject, objectsIn, textsIn } from '../json-value.ts';
import { CHAT_STREAM, textOfChat } from './chat.ts';
import { RESPONSE_STREAM, textOfResponse } from './response.ts';
import type { Surface } from './surface.ts';
import { TEXT_COMPLETION_STREAM, textOfTextCompletion } from './text-completion.ts';

/** `POST /v1/chat/completions`: the one surface that providers of plugins serve as well. */
export const CHAT: Surface = define({
  name: 'chat.completions',
  path: '/v1/chat/completions',
  textOf: textOfChat,
  stream: CHAT_STREAM,
});

/** All surfaces of the data plane. Their upstreams speak the client's dialect. */
export const SURFACES: readonly Surface[] = Object.freeze([
  CHAT,
  define({
    name: 'completions',
    path: '/v1/completions',
    textOf: textOfTextCompletion,
    stream: TEXT_COMPLETION_STREAM,
  }),
  define({ name: 'responses', path: '/v1/responses', textOf: textOfResponse, stream: RESPONSE_STREAM }),
  define({ name: 'embeddings', path: '/v1/embeddings' }),
  define({ name: 'moderations', path: '/v1/moderations', defaultModel: 'omni-moderation-latest' }),
  define({
    name: 'images.generations',
    path: '/v1/images/generations',
    defaultModel: 'dall-e-2',
    textOf: textOfImages,
  }),
  define({ name: 'audio.speech', path: '/v1/audio/speech', answer: 'bytes' }),
  define({
    name: 'audio.transcriptions',
    path: '/v1/audio/transcriptions',
    request: 'multipart',
    answer: 'bytes',
  }),
  define({ name: 'rerank', path: '/v1/rerank', textOf: textOfRanking }),
]);

/** The version is a part of `api_base`. */
function define(fields: Pick<Surface, 'name' | 'path'> & Partial<Surface>): Surface {
  return Object.freeze({
    upstreamPath: fields.path.replace(/^\/v1/, ''),
    request: 'json',
    answer: 'json',
    defaultModel: null,
    textOf: noText,
    stream: null,
    ...fields,
  });
}

/** The prompts as the model has rewritten them. */
function textOfImages(body: JsonObject): string {
  return textsIn(objectsIn(body.data).map(({ revised_prompt: prompt }) => prompt)).join('\n');
}

/** The documents, where they are returned. */
function textOfRanking(body: JsonObject): string {
  const documents = objectsIn(body.results).map(({ document }) => document);
  return textsIn(documents.map((document) => (isObject(document) ? document.text : document))).join('\n');
}

function noText(_body: JsonObject): string {
  return '';
}
