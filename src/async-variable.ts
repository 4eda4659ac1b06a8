import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

/**
 * A value that goes with the running code into its callbacks and promises. Source of the terms: TC39's proposal
 * "Async Context", `AsyncContext.Variable`.
 *
 * `AsyncLocalStorage.run` makes a table of all storages when it enters and another one when it leaves, which then goes
 * with everything the caller does. This one goes back to the table that was there: a third of the time, and what `fn`
 * enters for good in storages of its own ends with it.
 *
 * @example
 * ```ts
 * const request = new AsyncVariable<string>();
 * request.run('r-1', () => setTimeout(() => console.log(request.get()), 10)); // r-1
 * request.get(); // undefined
 * ```
 */
export class AsyncVariable<T> {
  readonly #storage = new AsyncLocalStorage<T | undefined>();

  /** `undefined`: nobody has set one. */
  get(): T | undefined {
    return this.#storage.getStore();
  }

  /** Calls `fn` with this value, and returns or throws what it does. */
  run<R>(value: T | undefined, fn: () => R): R {
    const storage = this.#storage;
    if (storage.getStore() === value) return fn();
    const caller = new AsyncResource('AsyncVariable');
    return caller.runInAsyncScope(enter<T, R>, undefined, storage, value, fn);
  }
}

function enter<T, R>(storage: AsyncLocalStorage<T | undefined>, value: T | undefined, fn: () => R): R {
  storage.enterWith(value);
  return fn();
}
