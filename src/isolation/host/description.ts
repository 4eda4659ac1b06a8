import { z } from 'zod';
import { ROUTE_METHODS } from '../../contributions.ts';
import { RubbishError } from '../channel/frames.ts';
import type { CrossingHead, Description, HandedOn } from '../protocol.ts';

const path = z.string();
const headers = z.record(z.string(), z.union([z.string(), z.number(), z.array(z.string())]));
const requestHeaders = z.record(z.string(), z.union([z.string(), z.array(z.string())]));
const body = z.union([z.strictObject({ base64: z.base64() }), z.strictObject({ json: z.unknown() })]);

const DESCRIPTION = z.strictObject({
  routes: z.array(z.strictObject({ method: z.enum([...ROUTE_METHODS, 'mount']), path })),
  middleware: z.array(z.strictObject({ path: z.union([path, z.array(path)]).nullable() })),
  hooks: z.array(z.enum(['onRequest', 'onRoute', 'onChunk', 'onResponse', 'onError'])),
  strategies: z.array(z.strictObject({ name: z.string(), observes: z.boolean() })),
  toolRuntimes: z.int().min(0).max(1000),
  evaluators: z.array(
    z.strictObject({
      name: z.string(),
      mode: z.enum(['block', 'observe']),
      input: z.boolean(),
      output: z.boolean(),
      window: z.union([z.number(), z.literal('all')]).exactOptional(),
    }),
  ),
  exporters: z.array(z.strictObject({ name: z.string(), flushes: z.boolean() })),
  authProviders: z.array(z.strictObject({ name: z.string(), keepsAccounts: z.boolean() })),
  providers: z.array(
    z.strictObject({
      name: z.string(),
      chat: z.boolean(),
      languageModel: z.boolean(),
      embeddingModel: z.boolean(),
    }),
  ),
  storageBackend: z.strictObject({ closes: z.boolean(), shared: z.boolean() }).nullable(),
});

const HEAD = z.strictObject({
  status: z.int().min(100).max(999),
  message: z
    .string()
    .nullish()
    .transform((text) => text ?? ''),
  headers: z.array(z.string()),
  stream: z.int(),
});

const HANDED_ON = z.strictObject({
  url: z.string().startsWith('/').exactOptional(),
  method: z.string().exactOptional(),
  setHeaders: requestHeaders.exactOptional(),
  removedHeaders: z.array(z.string()).exactOptional(),
  body: body.exactOptional(),
  status: z.int().min(100).max(999).exactOptional(),
  answer: headers.exactOptional(),
});

const OUTCOME = z.strictObject({ next: HANDED_ON.nullable() });

/** @throws RubbishError */
export function parseDescription(value: unknown): Description {
  return parse(DESCRIPTION, value, 'a description of what the plugin has registered');
}

/** @throws RubbishError */
export function parseHead(value: unknown): CrossingHead {
  return parse(HEAD, value, "an answer's head");
}

/** @throws RubbishError */
export function parseHandedOn(value: unknown): HandedOn {
  return parse(HANDED_ON, value, 'what a handler did to a request') as HandedOn;
}

/** @throws RubbishError */
export function parseOutcome(value: unknown): { readonly next: HandedOn | null } {
  return parse(OUTCOME, value, 'what became of a request') as { next: HandedOn | null };
}

function parse<T>(schema: z.ZodType<T>, value: unknown, expected: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path: place = [], message } = result.error.issues[0] ?? { message: 'it is wrong' };
  throw new RubbishError(`expected ${expected}, saw something else at "${place.join('.')}": ${message}`);
}
