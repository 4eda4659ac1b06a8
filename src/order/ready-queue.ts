/**
 * The plugins whose dependencies have all been placed, as a binary heap: lower priority number first, then the earlier
 * position. Holds positions; each is pushed at most once.
 */
export class ReadyQueue {
  readonly #priorities: readonly number[];
  readonly #heap: number[] = [];

  /** @param priorities the priority of each position */
  constructor(priorities: readonly number[]) {
    this.#priorities = priorities;
  }

  push(position: number): void {
    this.#heap.push(position);
    this.#siftUp(this.#heap.length - 1);
  }

  /** The first of the queue, which stays in it. `undefined` when the queue is empty. */
  peek(): number | undefined {
    return this.#heap[0];
  }

  /** Takes the first out of the queue. `undefined` when the queue is empty. */
  pop(): number | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#siftDown(0);
    }
    return first;
  }

  #siftUp(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #siftDown(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      let first = index;
      if (left < this.#heap.length && this.#isBefore(left, first)) first = left;
      if (left + 1 < this.#heap.length && this.#isBefore(left + 1, first)) first = left + 1;
      if (first === index) return;
      this.#swap(index, first);
      index = first;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#at(a);
    const right = this.#at(b);
    const leftPriority = this.#priorities[left] ?? 0;
    const rightPriority = this.#priorities[right] ?? 0;
    return leftPriority === rightPriority ? left < right : leftPriority < rightPriority;
  }

  #swap(a: number, b: number): void {
    const held = this.#at(a);
    this.#heap[a] = this.#at(b);
    this.#heap[b] = held;
  }

  #at(index: number): number {
    return this.#heap[index] ?? 0;
  }
}
