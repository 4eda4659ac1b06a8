interface Box<V> {
  value: V | null;
}

/**
 * A map for what is only under way: calls, streams. As `Map`, but that it lets go of what is deleted.
 *
 * V8's `Map` moves its entries to a new table every so often, and its old table goes on pointing to the new one. Once
 * one of them has outlived a full collection, the chain that follows it is garbage that minor collections take for
 * alive, with every entry that was there when the tables changed: at 64 requests at a time, with all requests. The
 * tables here hold boxes, which are emptied.
 *
 * @example
 * ```ts
 * const underWay = new TransientMap<number, { readonly method: string }>();
 * underWay.set(1, { method: 'route' });
 * underWay.take(1); // { method: 'route' }
 * underWay.size; // 0
 * ```
 */
export class TransientMap<K, V extends object> {
  readonly #boxes = new Map<K, Box<V>>();

  get size(): number {
    return this.#boxes.size;
  }

  has(key: K): boolean {
    return this.#boxes.has(key);
  }

  get(key: K): V | undefined {
    return this.#boxes.get(key)?.value ?? undefined;
  }

  set(key: K, value: V): void {
    const box = this.#boxes.get(key);
    if (box === undefined) this.#boxes.set(key, { value });
    else box.value = value;
  }

  /** Deletes the entry, and returns what it was. */
  take(key: K): V | undefined {
    const box = this.#boxes.get(key);
    if (box === undefined) return undefined;
    const { value } = box;
    this.#boxes.delete(key);
    box.value = null;
    return value ?? undefined;
  }

  /** A copy: entries may be deleted while it is gone through. */
  values(): V[] {
    return Array.from(this.#boxes.values(), ({ value }) => value).filter((value) => value !== null);
  }

  clear(): void {
    for (const key of [...this.#boxes.keys()]) this.take(key);
  }
}
