import type { Owner } from '../../src/containment/owner.ts';
import type { TrialGate } from '../../src/containment/trial-gate.ts';
import { Contributions } from '../../src/contributions.ts';
import type { Guards, Member } from '../../src/pipeline/member.ts';
import type { AuthRequest } from '../../src/plugin-api/auth.ts';
import type { LlmRequest, LlmResponse } from '../../src/plugin-api/llm.ts';
import type { Candidate } from '../../src/plugin-api/routing.ts';
import { createOwner, type RecordingOwner } from '../containment/support.ts';

export interface TestMember extends Member {
  readonly owner: RecordingOwner;
}

export interface MemberOptions {
  readonly callTimeoutMs?: number;
  readonly gate?: TrialGate | null;
  readonly guards?: Partial<Guards>;
  readonly failClosed?: boolean;
  readonly failOpen?: boolean;
}

/** A member whose bag `fill` fills; without `fill`, one that did not start. */
export function createMember(
  name: string,
  fill: ((bag: Contributions) => void) | null,
  options: MemberOptions = {},
): TestMember {
  const bag = fill === null ? null : new Contributions();
  if (bag !== null) fill?.(bag);
  const { callTimeoutMs = 5_000 }: Partial<Owner> = options;
  return {
    name,
    owner: createOwner(name, { callTimeoutMs }),
    bag,
    gate: options.gate ?? null,
    guards: { auth: false, storage: false, requests: false, ...options.guards },
    failClosed: options.failClosed ?? false,
    failOpen: options.failOpen ?? false,
  };
}

/** A gate of a quarantined plugin that remembers how its trials ended. */
export function createGate(due: boolean): TrialGate & { readonly trials: (boolean | null)[] } {
  const trials: (boolean | null)[] = [];
  return {
    trials,
    begin: () => due,
    end: (succeeded) => void trials.push(succeeded),
    retryAfterSeconds: () => 7,
  };
}

export function authRequest(headers: Record<string, string> = {}): AuthRequest {
  return Object.freeze({
    id: 'req-1',
    method: 'POST',
    path: '/v1/chat/completions',
    url: '/v1/chat/completions',
    headers,
    ip: '127.0.0.1',
    get: (name: string) => headers[name.toLowerCase()],
  });
}

export function llmRequest(overrides: Partial<LlmRequest> = {}): LlmRequest {
  return {
    id: 'req-1',
    surface: 'chat.completions',
    model: 'echo',
    stream: false,
    body: { model: 'echo', messages: [{ role: 'user', content: 'hi' }] },
    text: 'hi',
    identity: null,
    trace: null,
    signal: new AbortController().signal,
    ...overrides,
  };
}

export function llmResponse(overrides: Partial<LlmResponse> = {}): LlmResponse {
  return { body: { choices: [] }, text: 'hi', final: true, usage: null, ...overrides };
}

export function candidate(id: string): Candidate {
  return Object.freeze({
    id,
    group: 'echo',
    model: 'echo',
    provider: 'echo',
    weight: 1,
    rpm: null,
    tpm: null,
    order: null,
    inputCostPerToken: null,
    outputCostPerToken: null,
  });
}

/** The ways in which a call of a plugin can fail for good. */
export const FAILURES: readonly (readonly [string, () => never | Promise<never>, string])[] = [
  [
    'throws',
    () => {
      throw new Error('secret');
    },
    'error',
  ],
  ['rejects', async () => Promise.reject(new Error('secret')), 'error'],
  ['hangs', () => new Promise<never>(() => undefined), 'timeout'],
];

/** An error that is an answer. */
export function refusal(status: number): Error {
  return Object.assign(new Error('refused'), { status });
}
