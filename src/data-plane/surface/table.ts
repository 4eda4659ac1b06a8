import type { JsonObject } from '../json-value.ts';
import type { AnswerReading } from '../text/slot.ts';
import { TextCollector } from '../text/walk.ts';
import { CHAT_STREAM, readChat } from './chat.ts';
import { IMAGE_STREAM, readImages } from './image.ts';
import { MESSAGE_STREAM } from './messages.ts';
import { errorIn } from './read-choices.ts';
import { readMessage } from './read-message.ts';
import { readResponse } from './read-response.ts';
import { RESPONSE_STREAM } from './response.ts';
import type { Surface } from './surface.ts';
import { readTextCompletion, TEXT_COMPLETION_STREAM } from './text-completion.ts';

/** `POST /v1/chat/completions`. */
export const CHAT: Surface = define({
  name: 'chat.completions',
  path: '/v1/chat/completions',
  read: readChat,
  stream: CHAT_STREAM,
});

const RESPONSES: Surface = define({
  name: 'responses',
  path: '/v1/responses',
  read: readResponse,
  stream: RESPONSE_STREAM,
});

/** `POST /v1/messages`: Anthropic's. */
export const MESSAGES: Surface = define({
  name: 'messages',
  path: '/v1/messages',
  api: 'anthropic',
  read: readMessage,
  stream: MESSAGE_STREAM,
});

/** All surfaces of the data plane. */
export const SURFACES: readonly Surface[] = Object.freeze([
  CHAT,
  define({
    name: 'completions',
    path: '/v1/completions',
    read: readTextCompletion,
    stream: TEXT_COMPLETION_STREAM,
  }),
  RESPONSES,
  define({ name: 'embeddings', path: '/v1/embeddings' }),
  define({ name: 'moderations', path: '/v1/moderations', defaultModel: 'omni-moderation-latest' }),
  define({
    name: 'images.generations',
    path: '/v1/images/generations',
    defaultModel: 'dall-e-2',
    read: readImages,
    stream: IMAGE_STREAM,
  }),
  define({ name: 'audio.speech', path: '/v1/audio/speech', answer: 'bytes' }),
  define({
    name: 'audio.transcriptions',
    path: '/v1/audio/transcriptions',
    request: 'multipart',
    answer: 'bytes',
  }),
  define({ name: 'rerank', path: '/v1/rerank', read: readRanking }),
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
    read: readNoText,
    stream: null,
    ...fields,
  });
}

/** The documents, where they are returned. */
function readRanking(body: JsonObject): AnswerReading {
  return readMembers(body, 'results');
}

/** Vectors and scores. */
function readNoText(body: JsonObject): AnswerReading {
  return readMembers(body, null);
}

function readMembers(body: JsonObject, member: string | null): AnswerReading {
  const found = new TextCollector();
  if (member !== null) found.collect(body[member], [member], member);
  return { texts: found.slots, finishes: [], error: errorIn(body), keeps: true };
}
