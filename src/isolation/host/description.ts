import { z } from 'zod';
import { ROUTE_METHODS } from '../../contributions.ts';
import { RubbishError } from '../channel/frames.ts';
import type { Description } from '../protocol.ts';

const path = z.string();

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

/** @throws RubbishError */
export function parseDescription(value: unknown): Description {
  const result = DESCRIPTION.safeParse(value);
  if (result.success) return result.data;
  const { path: place = [], message } = result.error.issues[0] ?? { message: 'it is wrong' };
  throw new RubbishError(
    `expected a description of what the plugin has registered, saw something else at "${place.join('.')}": ${message}`,
  );
}
