import { setFlagsFromString } from 'node:v8';

const FLAG = '--heap-growing-percent';

/**
 * By how much the heap may grow over what a full collection has left, in percent, until the next one begins: to four
 * times, which is also the most that V8 grants by itself.
 */
const GROWTH_PERCENT = 300;

/**
 * Has V8 collect in full when the heap has quadrupled.
 *
 * V8 grants growth by how fast a program allocates, and to a gateway that was quiet but a third. So a burst of streams,
 * which stay alive while they last, brought a full collection on itself: some 40 ms in which no first byte leaves. The
 * limits of the heap hold as before, and V8 still gives memory back when nothing happens.
 *
 * To be called when the gateway has started: code that was compiled ahead counts for the flags that it was compiled
 * with, and Node's own modules would have to be compiled again, for 30 ms.
 *
 * @param execArgv the options that Node was started with: an operator's own `--heap-growing-percent` stays
 *
 * @see docs/performance.md, "The first requests are slower than raw's"
 */
export function letHeapGrow(
  execArgv: readonly string[],
  setFlags: (flags: string) => void = setFlagsFromString,
): void {
  const isChosen = execArgv.some((option) => option.replaceAll('_', '-').startsWith(FLAG));
  if (!isChosen) setFlags(`${FLAG}=${GROWTH_PERCENT}`);
}
