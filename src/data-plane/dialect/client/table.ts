import type { LlmSurface } from '../../../plugin-api/llm.ts';
import type { JsonObject } from '../../json-value.ts';
import type { AnswerContext, AnswerWriter } from '../answer.ts';
import type { CallOptions } from '../canonical.ts';
import type { FieldTable } from '../fields.ts';
import { CHAT_FIELDS } from './chat-fields.ts';
import { readChatRequest } from './chat-request.ts';
import { ChatWriter } from './chat-writer.ts';
import { MESSAGES_FIELDS } from './messages-fields.ts';
import { readMessagesRequest } from './messages-request.ts';
import { MessagesWriter } from './messages-writer.ts';
import { RESPONSES_FIELDS } from './responses-fields.ts';
import { readResponsesRequest } from './responses-request.ts';
import { ResponsesWriter } from './responses-writer.ts';

/** A dialect that clients speak, and that can be carried to an upstream of another. */
export interface ClientDialect {
  readonly fields: FieldTable;
  /** The field that holds the prompt. */
  readonly prompt: string;
  /** @throws GatewayError `invalid_request` */
  read(body: JsonObject): CallOptions;
  writer(context: AnswerContext): AnswerWriter;
}

/** The dialects of some surfaces. */
export function dialectsOf(...surfaces: readonly LlmSurface[]): ReadonlyMap<LlmSurface, ClientDialect> {
  return new Map([...CLIENT_DIALECTS].filter(([surface]) => surfaces.includes(surface)));
}

/** The dialects of clients, by the surface that they come in at. */
export const CLIENT_DIALECTS: ReadonlyMap<LlmSurface, ClientDialect> = new Map<LlmSurface, ClientDialect>([
  [
    'chat.completions',
    {
      fields: CHAT_FIELDS,
      prompt: 'messages',
      read: readChatRequest,
      writer: (context) => new ChatWriter(context),
    },
  ],
  [
    'responses',
    {
      fields: RESPONSES_FIELDS,
      prompt: 'input',
      read: readResponsesRequest,
      writer: (context) => new ResponsesWriter(context),
    },
  ],
  [
    'messages',
    {
      fields: MESSAGES_FIELDS,
      prompt: 'messages',
      read: readMessagesRequest,
      writer: (context) => new MessagesWriter(context),
    },
  ],
]);
