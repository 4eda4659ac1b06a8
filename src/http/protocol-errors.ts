import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatewayError, toErrorBody } from '../errors.ts';
import type { Connections } from './connections.ts';
import type { ConstantHeaders } from './security-headers.ts';
import type { HttpStats } from './stats.ts';

/** Answers where no response object exists: the request could not be parsed, did not come in time, or was CONNECT. */
export interface ProtocolErrors {
  /** For the server's `clientError` event. */
  refuse(error: NodeJS.ErrnoException, socket: Duplex): void;
  /** For the server's `connect` event: the gateway is no tunnel. */
  refuseConnect(socket: Duplex): void;
}

/** Writes such answers as text, in OpenAI's shape, and closes the connection. */
export function createProtocolErrors(
  connections: Connections,
  constants: ConstantHeaders,
  stats: HttpStats,
): ProtocolErrors {
  const answer = (socket: Duplex, method: string, error: GatewayError, fields: string): void => {
    stats.count('refused', method, error.status);
    socket.end(toText(error, constants.text + fields));
    connections.closeSoon(socket as Socket);
  };
  return {
    refuse(error, socket) {
      if (error.code !== 'ECONNRESET' && connections.isClosing(socket as Socket)) return;
      if (!socket.writable || error.code === 'ECONNRESET' || connections.isAnswering(socket as Socket)) {
        socket.destroy();
        return;
      }
      answer(socket, '', toProtocolError(error.code), '');
    },
    refuseConnect(socket) {
      const error = new GatewayError('method_not_allowed', 'This server is not a proxy: CONNECT is refused');
      answer(socket, 'CONNECT', error, 'Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n');
    },
  };
}

function toProtocolError(code: string | undefined): GatewayError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new GatewayError('invalid_request', 'The request did not come in time', { status: 408 });
    case 'HPE_HEADER_OVERFLOW':
      return new GatewayError('invalid_request', 'The request header is too large', { status: 431 });
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new GatewayError('body_too_large', 'The chunk extensions of the request body are too large');
    default:
      return new GatewayError('invalid_request', 'The request is not valid HTTP');
  }
}

function toText(error: GatewayError, fields: string): string {
  const body = JSON.stringify(toErrorBody(error));
  return (
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\nX-Request-Id: ${randomUUID()}\r\n${fields}` +
    `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
    `Connection: close\r\n\r\n${body}`
  );
}
