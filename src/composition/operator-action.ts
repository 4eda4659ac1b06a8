import { z } from 'zod';
import type { PluginHost } from './plugin-host.ts';

/** What an operator did to a plugin by the admin API of one process, for the other processes on the same port. */
export type OperatorAction =
  | { readonly kind: 'release'; readonly plugin: string }
  | { readonly kind: 'quarantine'; readonly plugin: string; readonly cause: string };

const ACTION: z.ZodType<OperatorAction> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('release'), plugin: z.string() }),
  z.object({ kind: z.literal('quarantine'), plugin: z.string(), cause: z.string() }),
]);

/** A message between processes as an action; `null` when it is something else. */
export function parseOperatorAction(message: unknown): OperatorAction | null {
  const { data } = ACTION.safeParse(message);
  return data ?? null;
}

/** @throws GatewayError `not_found`, `conflict`: here the plugin is in another state than there */
export async function applyOperatorAction(host: PluginHost, action: OperatorAction): Promise<void> {
  if (action.kind === 'release') await host.release(action.plugin);
  else await host.quarantine(action.plugin, action.cause);
}
