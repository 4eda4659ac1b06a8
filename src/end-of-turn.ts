import { AsyncLocalStorage } from 'node:async_hooks';

/** Something that can wait until the event loop has handed out all that has arrived. */
export interface TurnTask {
  /** Never throws. */
  onEndOfTurn(): void;
}

/** Whoever adds a task may run as a plugin's code; the tasks are the gateway's own, and run in nobody's context. */
const asNobody: (run: (tasks: readonly TurnTask[]) => void, tasks: readonly TurnTask[]) => void =
  AsyncLocalStorage.snapshot();

/** So that what is done first in a long turn does not wait for all of it. */
const MAX_TASKS = 32;

/**
 * Collects the small writes of a turn of the event loop and makes them one behind the other at its end. A write to
 * somebody who is asleep wakes him, which costs the writer several times the write; the second of two writes that follow
 * each other finds him awake. Of 32 connections on two cores a request costs a fifth less.
 *
 * Who is alone need not wait until the turn's other work is done: as long as turns bring one task each, it is done at
 * once.
 *
 * @example
 * ```ts
 * const endOfTurn = new EndOfTurn();
 * endOfTurn.add({ onEndOfTurn: () => socket.write(request) });
 * ```
 */
export class EndOfTurn {
  #tasks: TurnTask[] = [];
  /** Tasks of this turn, those that are done included. */
  #count = 0;
  /** Tasks of the last turn that had any. */
  #countBefore = 0;

  /** Takes a task. It is done at once when it is likely to be the only one, or when many wait already. */
  add(task: TurnTask): void {
    this.#tasks.push(task);
    this.#count++;
    if (this.#count === 1) setImmediate(finishTurn, this);
    const isAlone = this.#count === 1 && this.#countBefore <= 1;
    if (isAlone || this.#tasks.length === MAX_TASKS) this.#finish();
  }

  /** The turn is over. */
  finishTurn(): void {
    this.#countBefore = this.#count;
    this.#count = 0;
    if (this.#tasks.length > 0) this.#finish();
  }

  #finish(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    asNobody(runAll, tasks);
  }
}

/** Functions of their own, so that none is made for every turn. */
function finishTurn(endOfTurn: EndOfTurn): void {
  endOfTurn.finishTurn();
}

function runAll(tasks: readonly TurnTask[]): void {
  for (const task of tasks) task.onEndOfTurn();
}
