import { type Debugger, Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { toPath } from '../containment/blame.ts';

/** One frame of the main thread's stack. Line and column count from 1. */
export interface Frame {
  readonly path: string;
  readonly functionName: string;
  readonly line: number;
  readonly column: number;
  /** The inspector's. */
  readonly id: string;
}

type Evaluated = Debugger.EvaluateOnCallFrameReturnType;

/** Longest wait for an answer of the inspector once the thread is paused. */
const ANSWER_MS = 500;

/** The frames of this function have the context of the call that they run. */
const CALL = {
  functionName: 'runAs',
  path: fileURLToPath(import.meta.url).replace(
    /watchdog([/\\])main-thread(\.\w+)$/,
    'containment$1containment$2',
  ),
};

/** The stuck main thread as its inspector shows it, which works in loops and regular expressions, not in native code. */
export class MainThread {
  readonly #session = new Session();
  readonly #urls = new Map<string, string>();
  #isPaused = false;

  /** The stack, innermost frame first; empty when the thread could not be paused within `timeoutMs`. */
  async pause(timeoutMs: number): Promise<readonly Frame[]> {
    const paused = Promise.withResolvers<readonly Frame[]>();
    const timer = setTimeout(() => paused.resolve([]), timeoutMs);
    try {
      this.#session.connectToMainThread();
      this.#session.on('Debugger.scriptParsed', ({ params }) => this.#urls.set(params.scriptId, params.url));
      this.#session.on('Debugger.paused', ({ params }) => {
        this.#isPaused = true;
        paused.resolve(params.callFrames.map((frame) => this.#toFrame(frame)));
      });
      this.#session.post('Debugger.enable');
      this.#session.post('Debugger.pause');
    } catch {
      paused.resolve([]); // a Node.js without inspector
    }
    const frames = await paused.promise;
    clearTimeout(timer);
    return frames;
  }

  /** The request that the innermost call into a plugin was made for, if any. */
  requestId(frames: readonly Frame[]): Promise<string | null> {
    const call = frames.find(
      ({ path, functionName }) => functionName === CALL.functionName && path === CALL.path,
    );
    if (call === undefined) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<string | null>();
    setTimeout(() => resolve(null), ANSWER_MS);
    const question = { callFrameId: call.id, expression: 'context?.request?.id', returnByValue: true };
    this.#session.post('Debugger.evaluateOnCallFrame', question, (_error, answer?: Evaluated) => {
      const value: unknown = answer?.result.value;
      resolve(typeof value === 'string' ? value : null);
    });
    return promise;
  }

  /**
   * Ends the process at once. The first process of a container does not hear its own signals: that one exits from
   * within. One that could not be paused must not be paused any more: it exits by itself when its native call returns.
   */
  end(): void {
    process.kill(process.pid, 'SIGKILL');
    if (this.#isPaused) this.#session.post('Runtime.evaluate', { expression: 'process.reallyExit(1)' });
    else this.#session.disconnect();
  }

  #toFrame({ functionName, location, callFrameId }: Debugger.CallFrame): Frame {
    return {
      path: toPath(this.#urls.get(location.scriptId) ?? ''),
      functionName,
      line: location.lineNumber + 1,
      column: (location.columnNumber ?? 0) + 1,
      id: callFrameId,
    };
  }
}
