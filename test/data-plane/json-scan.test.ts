import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyBytes } from '../../src/data-plane/body-bytes.ts';
import { type JsonMap, JsonScanError, mapJsonObject } from '../../src/data-plane/json-scan.ts';
import { ScanMemory } from '../../src/data-plane/scan-memory.ts';

describe('mapJsonObject', () => {
  it('finds the members of the outermost object and nothing of inner ones', () => {
    const text = '{ "a" : {"model":"inner"} , "model":"outer","b":[{"model":1}]}';
    const { members } = map(text);
    assert.deepEqual(
      members.map(({ key, start, end }) => [key, text.slice(start, end)]),
      [
        ['a', '{"model":"inner"}'],
        ['model', '"outer"'],
        ['b', '[{"model":1}]'],
      ],
    );
  });

  it('reads escapes in keys', () => {
    const { members } = map('{"mod\\u0065l":"x"}');
    assert.equal(members[0]?.key, 'model');
  });

  it('is not misled by quotes and brackets in strings', () => {
    const { members } = map('{"a":"\\\\","b":"\\"}{[,:","c":"]"}');
    assert.deepEqual(
      members.map(({ key }) => key),
      ['a', 'b', 'c'],
    );
  });

  it('lists repeated keys and counts members at every depth', () => {
    const found = map('{"a":1,"a":[{"b":1,"b":2}]}');
    assert.equal(found.members.length, 2);
    assert.equal(found.memberCount, 4);
  });

  it('refuses what is nested deeper than it may be', () => {
    const text = '{"a":[{"b":1}]}';
    assert.equal(map(text, 3).memberCount, 2);
    assert.throws(() => map(text, 2), { message: 'nested deeper than 2 levels' });
  });

  it('refuses what JSON.parse refuses, and takes what it takes, whatever has been changed in a text', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), edit(), (value, change) => {
        // Within strings only the reader of a string judges: there are none but keys and plain words here.
        const text = change(JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"/g, '"k"'));
        assert.equal(isMapped(text), isObjectText(text), text);
      }),
      { numRuns: 3000 },
    );
  });

  for (const text of [
    '',
    '[]',
    '1',
    '"a"',
    '{"a":1}}',
    '{"a":01}',
    '{"a":1.}',
    '{"a":-}',
    '{"a":1e}',
    '{"a":tru}',
    '{"a" 1}',
    '{a:1}',
    '{"a":"b}',
    '{"\\u00":1}',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => map(text), JsonScanError);
    });
  }

  it('agrees with JSON.parse on every object, however it is written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), writing(), (value, write) => {
        const written = write(value);
        const bytes = Buffer.from(written);
        const found = map(written);
        const read = found.members.map((member) => [member.key, JSON.parse(member.text)]);
        assert.deepEqual(read, Object.entries(JSON.parse(written)));
        assert.deepEqual(
          found.members.map(({ start, end }) => bytes.toString('utf8', start, end)),
          found.members.map(({ text }) => text),
        );
        assert.equal(found.memberCount, countMembers(JSON.parse(written)));
      }),
      { numRuns: 500 },
    );
  });
});

/** One memory for all: what a text finds is not to depend on the ones before it. */
const memory = new ScanMemory();

function map(text: string, maxDepth = 256): JsonMap {
  return mapJsonObject(memory.gather(new BodyBytes([Buffer.from(text)], true)), maxDepth);
}

/** Takes a character out of a text, or puts one in. */
function edit(): fc.Arbitrary<(text: string) => string> {
  const character = fc.constantFrom(...'{}[],:"-+.0123eE tfn\n', 'null', 'true', '1.5e+3');
  return fc.oneof(
    fc.constant((text: string) => text),
    fc.tuple(fc.nat(), fc.constantFrom(0, 1), character).map(([at, removed, put]) => (text: string) => {
      const where = at % (text.length + 1);
      return text.slice(0, where) + put + text.slice(where + removed);
    }),
  );
}

function isMapped(text: string): boolean {
  try {
    map(text);
    return true;
  } catch (error) {
    assert.ok(error instanceof JsonScanError);
    return false;
  }
}

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // The one fault that the map leaves to others: a line feed within a string.
    return text.includes('\n') && isObjectText(text.replaceAll('\n', ' '));
  }
}

/** Ways to write one value: dense, indented, and with everything escaped that can be. */
function writing(): fc.Arbitrary<(value: unknown) => string> {
  const dense = (value: unknown): string => JSON.stringify(value);
  const indented = (value: unknown): string => ` ${JSON.stringify(value, null, '\r\n\t ')}\n`;
  const escaped = (value: unknown): string =>
    JSON.stringify(value).replace(
      /[^\x20-\x7e]|[<>a-f](?=[^"\\]*")/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  const valid = (write: (value: unknown) => string) => (value: unknown) => {
    const text = write(value);
    try {
      JSON.parse(text);
      return text;
    } catch {
      return dense(value);
    }
  };
  return fc.constantFrom(dense, indented, valid(escaped));
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce<number>((sum, item) => sum + countMembers(item), own);
}
