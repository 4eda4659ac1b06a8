// Loaded into the gateway's process with `--import`. Counts what requests cost there, on demand of the parent process.
import { type Profiler, Session } from 'node:inspector/promises';
import { setImmediate } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';

/** What the parent asks for. */
export type ProbeRequest = 'start-bytes' | 'stop-bytes' | 'start-calls' | 'stop-calls' | 'live-bytes';

/** Calls of one function since the start, by `file:function`. */
export type CallCounts = Readonly<Record<string, number>>;

export type ProbeAnswer =
  | { readonly kind: 'started' }
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'calls'; readonly calls: CallCounts };

const session = new Session();
session.connect();
let bytesBefore = 0;

process.on('message', (request: ProbeRequest) => {
  void answer(request).then((message) => process.send?.(message));
});

async function answer(request: ProbeRequest): Promise<ProbeAnswer> {
  switch (request) {
    case 'start-bytes':
      globalThis.gc?.();
      bytesBefore = allocated();
      return { kind: 'started' };
    case 'stop-bytes':
      return { kind: 'bytes', bytes: allocated() - bytesBefore };
    case 'live-bytes':
      // What finalizers let go is only collected the second time.
      for (let times = 0; times < 3; times++) {
        globalThis.gc?.();
        await setImmediate();
      }
      return { kind: 'bytes', bytes: allocated() };
    case 'start-calls':
      await session.post('Profiler.enable');
      await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
      return { kind: 'started' };
    case 'stop-calls': {
      const { result } = await session.post('Profiler.takePreciseCoverage');
      await session.post('Profiler.stopPreciseCoverage');
      return { kind: 'calls', calls: countsOf(result) };
    }
  }
}

/** While the young generation is larger than all that is allocated, nothing is collected in between. */
function allocated(): number {
  return getHeapStatistics().used_heap_size;
}

function countsOf(scripts: readonly Profiler.ScriptCoverage[]): CallCounts {
  const counts: Record<string, number> = {};
  for (const { url, functions } of scripts) {
    const file = /\/dist\/(.+)\.js$/.exec(url)?.[1];
    if (file === undefined) continue;
    for (const { functionName, ranges } of functions) {
      const key = `${file}:${functionName === '' ? '(anonymous)' : functionName}`;
      counts[key] = (counts[key] ?? 0) + (ranges[0]?.count ?? 0);
    }
  }
  return counts;
}
