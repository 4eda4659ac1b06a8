/** Where all requests go. */
export const CHAT_PATH = '/v1/chat/completions';

/** What a client does: `json` and `large` wait for one answer, `sse` and `idle` read streams. */
export const WORKLOAD_NAMES = ['json', 'large', 'sse', 'idle'] as const;
export type WorkloadName = (typeof WORKLOAD_NAMES)[number];

export function isWorkloadName(name: string): name is WorkloadName {
  return (WORKLOAD_NAMES as readonly string[]).includes(name);
}

/** Models of the mock upstream: what it does depends on the name. */
export const MODELS = {
  /** One JSON answer of about 600 bytes. */
  json: 'bench-json',
  /** 100 events, one per turn of the upstream's event loop. */
  burst: 'bench-burst-100',
  /** 100 events in 10 pieces, each sent when the client has the one before. */
  stepped: 'bench-stepped-100-10',
  /** Three events, 2 ms apart: for the time to the first one. */
  first: 'bench-paced-2-3',
  /** 60 events, 100 ms apart: for streams that are open and mostly wait. */
  idle: 'bench-paced-100-60',
} as const;

export const BURST_EVENTS = 100;
export const IDLE_EVENTS = 60;

/** What people write: quotes, line feeds, escapes and letters of more than one byte. */
const PROSE = [
  'Here is the log of last night; please find out why the "checkout" job failed.\n',
  '\t1. 02:14 retry storm against the payment API, 503s (see \\logs\\pay)\n',
  '\t2. 02:20 Zoë scaled the pool from 4 to 16, latency back to 80 ms.\n',
  'Answer in three sentences, and name the first thing to change.\n\n',
].join('');

/** Request bodies by what they are for. `large` has a prompt of 64 KiB. */
export const BODIES: Readonly<Record<'json' | 'large' | 'sse' | 'stepped' | 'first' | 'idle', Buffer>> = {
  json: bodyOf(400, MODELS.json, false),
  large: bodyOf(65_536, MODELS.json, false),
  sse: bodyOf(400, MODELS.burst, true),
  stepped: bodyOf(400, MODELS.stepped, true),
  first: bodyOf(400, MODELS.first, true),
  idle: bodyOf(400, MODELS.idle, true),
};

/** Whole paragraphs as long as they fit, then dots up to exactly that many bytes. */
function bodyOf(bytes: number, model: string, stream: boolean): Buffer {
  const empty = Buffer.byteLength(render(model, stream, ''));
  const paragraph = Buffer.byteLength(render(model, stream, PROSE)) - empty;
  const content = PROSE.repeat(Math.floor((bytes - empty) / paragraph));
  const missing = bytes - Buffer.byteLength(render(model, stream, content));
  return Buffer.from(render(model, stream, content + '.'.repeat(missing)));
}

function render(model: string, stream: boolean, content: string): string {
  return JSON.stringify({
    model,
    ...(stream ? { stream } : {}),
    temperature: 0.2,
    max_tokens: 200,
    messages: [{ role: 'user', content }],
  });
}
