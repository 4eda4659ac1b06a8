import { isObject, type JsonObject, objectsIn, textsIn } from '../json-value.ts';
import { CHAT_STREAM, textOfChat } from './chat.ts';
import { IMAGE_STREAM, textOfImages } from './image.ts';
import { MESSAGE_STREAM, textOfMessage } from './messages.ts';
import { RESPONSE_STREAM, textOfResponse } from './response.ts';
import type { Surface } from './surface.ts';
import { TEXT_COMPLETION_STREAM, textOfTextCompletion } from './text-completion.ts';

/** `POST /v1/chat/completions`. */
export const CHAT: Surface = define({
  name: 'chat.completions',
  path: '/v1/chat/completions',
  textOf: textOfChat,
  stream: CHAT_STREAM,
});

const RESPONSES: Surface = define({
  name: 'responses',
  path: '/v1/responses',
  textOf: textOfResponse,
  stream: RESPONSE_STREAM,
});

/** `POST /v1/messages`: Anthropic's. */
export const MESSAGES: Surface = define({
  name: 'messages',
  path: '/v1/messages',
  api: 'anthropic',
  textOf: textOfMessage,
  stream: MESSAGE_STREAM,
});

/** All surfaces of the data plane. */
export const SURFACES: readonly Surface[] = Object.freeze([
  CHAT,
  define({
    name: 'completions',
    path: '/v1/completions',
    textOf: textOfTextCompletion,
    stream: TEXT_COMPLETION_STREAM,
  }),
  RESPONSES,
  define({ name: 'embeddings', path: '/v1/embeddings' }),
  define({ name: 'moderations', path: '/v1/moderations', defaultModel: 'omni-moderation-latest' }),
  define({
    name: 'images.generations',
    path: '/v1/images/generations',
    defaultModel: 'dall-e-2',
    textOf: textOfImages,
    stream: IMAGE_STREAM,
  }),
  define({ name: 'audio.speech', path: '/v1/audio/speech', answer: 'bytes' }),
  define({
    name: 'audio.transcriptions',
    path: '/v1/audio/transcriptions',
    request: 'multipart',
    answer: 'bytes',
  }),
  define({ name: 'rerank', path: '/v1/rerank', textOf: textOfRanking }),
  MESSAGES,
  define({ name: 'messages.count_tokens', path: '/v1/messages/count_tokens', api: 'anthropic' }),
]);

function define(fields: Pick<Surface, 'name' | 'path'> & Partial<Surface>): Surface {
  return Object.freeze({
    api: 'openai',
    upstreamPath: fields.path.replace(/^\/v1/, ''),
    request: 'json',
    answer: 'json',
    defaultModel: null,
    textOf: noText,
    stream: null,
    ...fields,
  });
}

/** The documents, where they are returned. */
function textOfRanking(body: JsonObject): string {
  const documents = objectsIn(body.results).map(({ document }) => document);
  return textsIn(documents.map((document) => (isObject(document) ? document.text : document))).join('\n');
}

function noText(_body: JsonObject): string {
  return '';
}
