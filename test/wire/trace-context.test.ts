import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addTrace, TraceIds, takeTrace, traceHeaders } from '../../src/wire/trace-context.ts';

const IDS = new TraceIds();

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE}-${PARENT}-01`;

describe('the trace of a client', () => {
  it('is taken over with a span of its own', () => {
    const trace = takeTrace({ traceparent: TRACEPARENT, tracestate: 'a=b, c@d=e' }, false, IDS);
    const { spanId, ...rest } = trace ?? assert.fail('no trace');
    assert.deepEqual(rest, { traceId: TRACE, parentSpanId: PARENT, flags: 1, state: 'a=b, c@d=e' });
    assert.match(spanId, /^[0-9a-f]{16}$/);
    assert.notEqual(spanId, PARENT);
    assert.ok(Object.isFrozen(trace));
  });

  const unreadable = [
    '',
    TRACEPARENT.toUpperCase(),
    TRACEPARENT.slice(0, -1),
    `${TRACEPARENT}-00`,
    `${TRACEPARENT}, ${TRACEPARENT}`,
    `ff-${TRACE}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `01-${TRACE}-${PARENT}-01x`,
    ` ${TRACEPARENT}`,
  ];
  for (const traceparent of unreadable) {
    it(`counts as absent, with its state, when it reads ${JSON.stringify(traceparent)}`, () => {
      assert.equal(takeTrace({ traceparent, tracestate: 'a=b' }, false, IDS), null);
      const begun = takeTrace({ traceparent, tracestate: 'a=b' }, true, IDS) ?? assert.fail('no trace');
      assert.notEqual(begun.traceId, TRACE);
      assert.deepEqual([begun.parentSpanId, begun.state], [null, null]);
    });
  }

  it('may be of a later version, of which nothing but what is known goes on', () => {
    const headers = { traceparent: `cc-${TRACE}-${PARENT}-ff-what-comes` };
    const trace = takeTrace(headers, false, IDS) ?? assert.fail('no trace');
    assert.equal(trace.flags, 3);
    assert.equal(traceHeaders(trace).traceparent, `00-${TRACE}-${trace.spanId}-03`);
  });

  it('is not for the gateway to pass on when the client says so of its connection', () => {
    const headers = { traceparent: TRACEPARENT, tracestate: 'a=b' };
    assert.equal(takeTrace({ ...headers, connection: 'Traceparent' }, false, IDS), null);
    assert.equal(takeTrace({ ...headers, connection: 'tracestate' }, false, IDS)?.state, null);
  });

  const states = ['a', '=b', 'A=b', 'a=', 'a=b=c', 'a=b,c', 'a=\u00e9', `${'a=b,'.repeat(32)}a=b`, ' , '];
  for (const tracestate of states) {
    it(`goes on without its state when that reads ${JSON.stringify(tracestate.slice(0, 20))}`, () => {
      const trace =
        takeTrace({ traceparent: TRACEPARENT, tracestate }, false, IDS) ?? assert.fail('no trace');
      assert.equal(trace.traceId, TRACE);
      assert.deepEqual(Object.keys(traceHeaders(trace)), ['traceparent']);
    });
  }

  it('begins with the call only when somebody records it', () => {
    assert.equal(takeTrace({}, false, IDS), null);
    const first = takeTrace({}, true, IDS) ?? assert.fail('no trace');
    const second = takeTrace({}, true, IDS) ?? assert.fail('no trace');
    assert.match(first.traceId, /^[0-9a-f]{32}$/);
    assert.notEqual(first.traceId, second.traceId);
    assert.deepEqual([first.parentSpanId, first.flags, first.state], [null, 1, null]);
  });

  it('never throws, and passes on what the next one can take over', () => {
    const value = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?$/),
    );
    fc.assert(
      fc.property(value, fc.string(), (traceparent, tracestate) => {
        const taken = takeTrace({ traceparent, tracestate }, false, IDS);
        if (taken === null) return;
        const sent: string[] = [];
        addTrace(sent, taken);
        const headers: IncomingHttpHeaders = { traceparent: sent[1] ?? '', tracestate: sent[3] ?? '' };
        const next = takeTrace(headers, false, IDS) ?? assert.fail('refused by the next one');
        assert.deepEqual(
          [next.traceId, next.parentSpanId, next.flags, next.state],
          [taken.traceId, taken.spanId, taken.flags, taken.state],
        );
      }),
    );
  });
});
