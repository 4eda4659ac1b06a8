import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EventCutter, endsWithDone, parseEvents } from '../../src/data-plane/sse.ts';

const STREAMS = {
  LF: 'data: {"a":1}\n\n: comment\n\ndata: two\ndata: lines\n\nevent: x\ndata:tight\n\ndata: [DONE]\n\n',
  CRLF: 'data: {"a":1}\r\n\r\n: comment\r\n\r\ndata: two\r\ndata: lines\r\n\r\nevent: x\r\ndata:tight\r\n\r\ndata: [DONE]\r\n\r\n',
  CR: 'data: {"a":1}\r\r: comment\r\rdata: two\rdata: lines\r\revent: x\rdata:tight\r\rdata: [DONE]\r\r',
} as const;
const DATA = ['{"a":1}', null, 'two\nlines', 'tight', '[DONE]'];

describe('parseEvents', () => {
  for (const [name, text] of Object.entries(STREAMS)) {
    it(`reads events that end with ${name}`, () => {
      const events = parseEvents(Buffer.from(text));
      assert.deepEqual(
        events.map(({ data }) => data),
        DATA,
      );
      assert.equal(Buffer.concat(events.map(({ raw }) => raw)).toString(), text);
    });
  }
});

describe('EventCutter', () => {
  for (const [name, text] of Object.entries(STREAMS)) {
    it(`returns whole events only, wherever chunks begin (${name})`, () => {
      const cuts = fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 12 });
      fc.assert(
        fc.property(cuts, (at) => {
          const cutter = new EventCutter();
          const parts = split(text, at).map((part) => cutter.push(Buffer.from(part)));
          const whole = parts.filter((part) => part !== null);
          assert.equal(Buffer.concat([...whole, cutter.rest() ?? Buffer.alloc(0)]).toString(), text);
          assert.deepEqual(
            whole.flatMap((part) => parseEvents(part).map(({ data }) => data)),
            DATA,
          );
        }),
      );
    });
  }

  it('hands a chunk that ends with an event through as it is', () => {
    const chunk = Buffer.from('data: 1\n\ndata: 2\n\n');
    assert.equal(new EventCutter().push(chunk), chunk);
  });
});

describe('endsWithDone', () => {
  it('knows the last event, with and without its blank, in every line ending', () => {
    for (const text of [
      'data: [DONE]\n\n',
      'data:[DONE]\r\n\r\n',
      'data: 1\r\rdata: [DONE]\r\r',
      'data: [DONE]',
    ]) {
      assert.equal(endsWithDone(Buffer.from(text)), true, JSON.stringify(text));
    }
  });

  it('does not take text that only looks like it', () => {
    for (const text of [
      'data: {"content":"data: [DONE]\\n\\n"}\n\n',
      'data: [DONE]\n\ndata: more\n\n',
      'data: [1, 2]\n\n',
      'data: x[DONE]\n\n',
      ': [DONE]\n\n',
      'data: [DONE\n\n',
    ]) {
      assert.equal(endsWithDone(Buffer.from(text)), false, JSON.stringify(text));
    }
  });
});

function split(text: string, cuts: readonly number[]): string[] {
  const sorted = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  return sorted.slice(1).map((end, index) => text.slice(sorted[index], end));
}
