import type { JsonObject } from '../../json-value.ts';
import type { Surface } from '../../surface/surface.ts';
import { CHAT, MESSAGES } from '../../surface/table.ts';
import type { CallOptions } from '../canonical.ts';
import type { CarriageTable, FieldTable } from '../fields.ts';
import { CHAT_CARRIAGE } from './chat-carriage.ts';
import { ChatDecoder } from './chat-decoder.ts';
import { type ChatRequestStyle, toChatRequest } from './chat-request.ts';
import type { Decoder } from './decoder.ts';
import { MESSAGES_CARRIAGE } from './messages-carriage.ts';
import { MessagesDecoder } from './messages-decoder.ts';
import { toMessagesRequest } from './messages-request.ts';

/** A dialect that upstreams speak, and that calls of other dialects can be carried to. */
export interface Target {
  /** The surface that crossed calls go to. */
  readonly surface: Surface;
  readonly carriage: CarriageTable;
  /**
   * @param fields of the client's dialect, for errors
   * @throws GatewayError `invalid_request`
   */
  toRequest(options: CallOptions, model: string, stream: boolean, fields: FieldTable): JsonObject;
  /** The member that an answer in one piece has, a list, and nothing else does. */
  readonly content: 'choices' | 'content';
  decoder(): Decoder;
}

export function chatTarget(style: ChatRequestStyle): Target {
  return {
    surface: CHAT,
    carriage: CHAT_CARRIAGE,
    content: 'choices',
    toRequest: (options, model, stream) => toChatRequest(options, model, stream, style),
    decoder: () => new ChatDecoder(),
  };
}

export const MESSAGES_TARGET: Target = Object.freeze({
  surface: MESSAGES,
  carriage: MESSAGES_CARRIAGE,
  content: 'content',
  toRequest: toMessagesRequest,
  decoder: () => new MessagesDecoder(),
});
