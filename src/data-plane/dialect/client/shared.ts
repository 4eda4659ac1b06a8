import type { CallOptions, FunctionTool, Metadata, Schema } from '../canonical.ts';
import { compact } from '../canonical.ts';

/** The efforts that OpenAI's and Anthropic's APIs know, together. */
export const REASONING_LEVELS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

/** A function tool as OpenAI's APIs describe one. */
export interface GivenFunction {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: Schema | null | undefined;
  readonly strict?: boolean | null | undefined;
}

export function functionTool({ name, description, parameters, strict }: GivenFunction): FunctionTool {
  return compact({
    type: 'function' as const,
    name,
    description: description ?? undefined,
    inputSchema: parameters ?? { type: 'object' as const, properties: {} },
    strict: strict ?? undefined,
  });
}

export function stopList(stop: string | readonly string[] | null | undefined): string[] | undefined {
  if (stop == null) return undefined;
  return typeof stop === 'string' ? [stop] : [...stop];
}

/** Settings that the specification has no field for, where the AI SDK's provider for OpenAI looks for them. */
export function providerOptions(openai: {
  readonly parallelToolCalls: boolean | null | undefined;
  readonly textVerbosity: string | null | undefined;
  readonly strictJsonSchema: boolean | null | undefined;
}): CallOptions['providerOptions'] {
  const given = Object.entries(openai).filter(([, value]) => value != null);
  return given.length === 0 ? undefined : ({ openai: Object.fromEntries(given) } as Metadata);
}
