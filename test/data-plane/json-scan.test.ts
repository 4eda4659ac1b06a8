import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { mapJsonObject } from '../../src/data-plane/json-scan.ts';

describe('mapJsonObject', () => {
  it('finds the members of the outermost object and nothing of inner ones', () => {
    const text = '{ "a" : {"model":"inner"} , "model":"outer","b":[{"model":1}]}';
    const { members } = mapJsonObject(Buffer.from(text));
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
    const { members } = mapJsonObject(Buffer.from('{"mod\\u0065l":"x"}'));
    assert.equal(members[0]?.key, 'model');
  });

  it('is not misled by quotes and brackets in strings', () => {
    const { members, depth } = mapJsonObject(Buffer.from('{"a":"\\\\","b":"\\"}{[,:","c":"]"}'));
    assert.deepEqual(
      members.map(({ key }) => key),
      ['a', 'b', 'c'],
    );
    assert.equal(depth, 1);
  });

  it('lists repeated keys and counts members at every depth', () => {
    const map = mapJsonObject(Buffer.from('{"a":1,"a":[{"b":1,"b":2}]}'));
    assert.equal(map.members.length, 2);
    assert.equal(map.memberCount, 4);
    assert.equal(map.depth, 3);
  });

  it('agrees with JSON.parse on every object, however it is written', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), writing(), (value, write) => {
        const bytes = Buffer.from(write(value));
        const map = mapJsonObject(bytes);
        const read = map.members.map(({ key, start, end }) => [
          key,
          JSON.parse(bytes.toString('utf8', start, end)),
        ]);
        assert.deepEqual(read, Object.entries(JSON.parse(bytes.toString())));
        assert.equal(map.memberCount, countMembers(JSON.parse(bytes.toString())));
      }),
      { numRuns: 500 },
    );
  });
});

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
