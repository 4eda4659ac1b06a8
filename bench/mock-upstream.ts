// usage: node bench/mock-upstream.ts PORT
// An upstream that costs as little as it can: it finds the ends of requests itself and answers with bytes that are
// ready. `"model":"bench-burst-N"` streams N events, one per turn of the event loop; `"bench-paced-MS-N"` streams N
// events, one every MS milliseconds; `"bench-stepped-N-PIECES"` streams N events in so many pieces, in lockstep with its
// client; anything else gets one JSON answer.
import { createServer, type Server, type Socket } from 'node:net';
import type { Lockstep } from './load/lockstep.ts';
import { RequestReader } from './load/request-reader.ts';

const SENTENCE = 'The pool was too small for the retries, so the job ran into its own time limit. ';
const JSON_ANSWER = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'bench-json',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: SENTENCE.repeat(4) },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 96, completion_tokens: 72, total_tokens: 168 },
});
const EVENT = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: { content: 'a word ' }, finish_reason: null }],
});

const WHOLE = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(JSON_ANSWER)}\r\n\r\n${JSON_ANSWER}`,
);
const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n';
const CHUNK = Buffer.from(chunk(`data: ${EVENT}\n\n`));
const FIRST = Buffer.from(STREAM_HEAD + chunk(`data: ${EVENT}\n\n`));
const LAST = Buffer.from(`${chunk('data: [DONE]\n\n')}0\r\n\r\n`);

/**
 * Listens on 127.0.0.1.
 *
 * @param lockstep what streams in steps go by
 */
export function serveMock(port: number, lockstep: Lockstep | null = null): Server {
  return createServer({ noDelay: true }, (socket) => {
    const reader = new RequestReader((head) => answer(socket, head, lockstep));
    socket.on('data', (bytes: Buffer) => reader.push(bytes));
    socket.on('error', () => socket.destroy());
  }).listen(port, '127.0.0.1', 4096);
}

/** Where it listens. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('expected a server that listens on a port');
  return address.port;
}

/** @param head the first bytes of the body */
function answer(socket: Socket, head: string, lockstep: Lockstep | null): void {
  const model = /"model":"bench-(burst|paced|stepped)-(\d+)(?:-(\d+))?"/.exec(head);
  if (model === null) {
    socket.write(WHOLE);
    return;
  }
  const [, kind, first, second] = model;
  if (kind === 'stepped' && lockstep !== null) {
    stepped(socket, Number(first), Number(first) / Number(second), lockstep);
    return;
  }
  socket.write(FIRST);
  if (kind === 'burst') burst(socket, Number(first) - 1);
  else paced(socket, Number(first), Number(second) - 1);
}

function burst(socket: Socket, left: number): void {
  if (socket.destroyed) return;
  if (left === 0) {
    socket.write(LAST);
    return;
  }
  socket.write(CHUNK);
  setImmediate(burst, socket, left - 1);
}

function stepped(socket: Socket, events: number, perPiece: number, lockstep: Lockstep): void {
  const next = (sent: number): void => {
    if (sent === events) {
      socket.write(LAST);
      return;
    }
    const chunks = Array<Buffer>(perPiece).fill(CHUNK);
    if (sent === 0) chunks[0] = FIRST;
    socket.write(Buffer.concat(chunks));
    lockstep.when(sent + perPiece, () => next(sent + perPiece));
  };
  next(0);
}

function paced(socket: Socket, everyMs: number, events: number): void {
  let left = events;
  const timer = setInterval(() => {
    if (socket.destroyed || left === 0) {
      clearInterval(timer);
      if (!socket.destroyed) socket.write(LAST);
      return;
    }
    left--;
    socket.write(CHUNK);
  }, everyMs);
}

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

if (import.meta.main) serveMock(Number(process.argv[2]));
