import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import loadWabt from 'wabt';
import { BodyBytes } from '../../src/data-plane/body-bytes.ts';
import { ScanMemory, SEARCHER_BASE64 } from '../../src/data-plane/scan-memory.ts';

const WAT = fileURLToPath(new URL('../../src/data-plane/string-end.wat', import.meta.url));

const memory = new ScanMemory();

/** Where the string ends whose text `written` is, with `before` bytes in front of it. */
function endOf(written: string, before = 0): number {
  const bytes = Buffer.from(`${' '.repeat(before)}"${written}`);
  return memory.gather(new BodyBytes([bytes], true)).endOfString(before + 1);
}

describe('the search for the end of a string', () => {
  it('is what string-end.wat says', async () => {
    const { parseWat } = await loadWabt();
    const { buffer } = parseWat('string-end.wat', readFileSync(WAT, 'utf8'), { simd: true }).toBinary({});
    assert.equal(SEARCHER_BASE64, Buffer.from(buffer).toString('base64'));
  });

  it('finds the first quote that is not escaped, wherever it stands', () => {
    const piece = fc.constantFrom('\\', '\\\\', '"', '\\"', 'a', 'é', '€'.repeat(9), 'x'.repeat(63));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.nat(130), (pieces, before) => {
        const written = pieces.join('');
        const found = /^(?:[^"\\]|\\[\s\S])*"/.exec(written);
        const expected = found === null ? -1 : before + 1 + Buffer.byteLength(found[0]);
        assert.equal(endOf(written, before), expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('finds it at each place of a block, and with any number of backslashes in front of it', () => {
    for (let length = 0; length < 200; length++) {
      assert.equal(endOf(`${'x'.repeat(length)}"`), length + 2);
      const isEscaped = length % 2 === 1;
      assert.equal(endOf(`${'\\'.repeat(length)}"`), isEscaped ? -1 : length + 2);
    }
  });

  it('finds nothing that an earlier body has left behind the end', () => {
    endOf('"'.repeat(1_000));
    for (let length = 0; length < 200; length++) assert.equal(endOf('x'.repeat(length)), -1);
  });
});

describe('the memory for bodies', () => {
  it('holds the pieces one behind the other, and grows with them', () => {
    for (const length of [
      0, 1, 65_471, 65_472, 65_473, 65_536, 200_000, 1_048_576, 1_048_577, 3_000_000, 5,
    ]) {
      const whole = Buffer.alloc(length, 'abc');
      const cut = Math.floor(length / 3);
      const pieces = [whole.subarray(0, cut), whole.subarray(cut)];
      const scannable = memory.gather(new BodyBytes(pieces, false));
      assert.equal(scannable.length, length);
      assert.ok(scannable.view.equals(whole), `${length} bytes`);
      assert.equal(scannable.withZero[length], 0);
    }
  });
});
