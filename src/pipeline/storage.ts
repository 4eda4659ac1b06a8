import type { Containment } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import type { Storage, StorageBackend } from '../plugin-api/storage.ts';
import { invoke, type Member } from './member.ts';

/** Turns a plugin's backend into a store whose answers are checked; `storage/backend.ts` has the one. */
export type AdaptBackend = (backend: StorageBackend) => Storage;

const METHODS = ['get', 'set', 'delete', 'increment', 'compareAndSet', 'list'] as const;

/**
 * The store of this generation: a plugin's backend when one should be there, else the embedded one. While that plugin
 * takes no part, or a call fails, the caller gets `storage_unavailable`: switching stores silently would split what
 * replicas share.
 */
export function compileStorage(
  containment: Containment,
  members: readonly Member[],
  embedded: Storage,
  adapt: AdaptBackend,
): Storage {
  const member = members.find(({ bag, guards }) =>
    bag === null ? guards.storage : bag.storageBackend !== null,
  );
  if (member === undefined) return embedded;
  const backend = member.bag?.storageBackend;
  const adapted = backend == null ? null : adapt(backend);
  return Object.freeze(
    Object.fromEntries(METHODS.map((method) => [method, contained(containment, member, adapted, method)])),
  ) as unknown as Storage;
}

type AnyMethod = (...values: readonly unknown[]) => Promise<unknown>;

function contained(
  containment: Containment,
  member: Member,
  storage: Storage | null,
  method: (typeof METHODS)[number],
): AnyMethod {
  const site = {
    owner: member.owner,
    phase: 'storage' as const,
    what: `storage ${method}()`,
    check: (value: unknown) => value,
  };
  return async (...values) => {
    if (storage === null) throw unavailable(member);
    const request = containment.current()?.request ?? null;
    const call = storage[method] as AnyMethod;
    try {
      return await invoke(containment, member.gate, site, request, () => call.apply(storage, [...values]));
    } catch (cause) {
      throw unavailable(member, cause);
    }
  };
}

function unavailable(member: Member, cause?: unknown): GatewayError {
  return new GatewayError('storage_unavailable', 'Storage is unavailable', { plugin: member.name, cause });
}
