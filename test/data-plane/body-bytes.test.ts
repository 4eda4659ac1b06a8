import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyBytes, splice } from '../../src/data-plane/body-bytes.ts';

/** Memory of its own, as Node brings the pieces of a body. */
function piece(length = 8_192): Buffer {
  return Buffer.allocUnsafeSlow(length).fill('x');
}

function isFreed(bytes: Buffer): boolean {
  return bytes.length === 0;
}

describe('the bytes of a body', () => {
  it('are freed when they are released', () => {
    const pieces = [piece(), piece()];
    new BodyBytes(pieces, true).release();
    assert.deepEqual(pieces.map(isFreed), [true, true]);
  });

  it('stay with those to whom they are lent, and are freed when the last one gives them back', () => {
    const bytes = new BodyBytes([piece()], true);
    const [lent] = bytes.lend();
    assert.ok(lent);
    bytes.lend();
    bytes.takeBack();
    bytes.release();
    assert.equal(isFreed(lent), false);
    bytes.takeBack();
    assert.equal(isFreed(lent), true);
  });

  it('are not freed before they are released', () => {
    const whole = piece();
    const bytes = new BodyBytes([whole], true);
    bytes.lend();
    bytes.takeBack();
    assert.equal(isFreed(whole), false);
  });

  it('are left alone when somebody else may hold them', () => {
    const shared = piece();
    new BodyBytes([shared], false).release();
    assert.equal(isFreed(shared), false);
  });

  it('are left alone where they share their memory with other bytes', () => {
    const memory = piece(20_000);
    const part = memory.subarray(100, 10_000);
    new BodyBytes([part], true).release();
    assert.deepEqual([memory, part].map(isFreed), [false, false]);
  });

  it('are in one piece when somebody asks for that', () => {
    const pieces = [Buffer.from('a'.repeat(50_000)), Buffer.from('b'.repeat(50_000))];
    const bytes = new BodyBytes(pieces, true);
    const { whole } = bytes;
    assert.equal(String(whole), 'a'.repeat(50_000) + 'b'.repeat(50_000));
    assert.equal(bytes.whole, whole);
    assert.equal(bytes.length, 100_000);
    bytes.release();
    assert.equal(isFreed(whole), true);
  });

  it('stay with those who have them in pieces when somebody asks for all in one', () => {
    const bytes = new BodyBytes([piece(), piece()], true);
    const lent = bytes.lend();
    assert.equal(bytes.whole.length, 16_384);
    bytes.release();
    bytes.takeBack();
    assert.deepEqual(lent.map(isFreed), [false, false]);
  });

  it('cannot be had any more once they are released, whether they are freed or not', () => {
    for (const isOurs of [true, false]) {
      const bytes = new BodyBytes([piece()], isOurs);
      bytes.release();
      assert.throws(() => bytes.lend(), /when its call was over/);
      assert.throws(() => bytes.whole, /when its call was over/);
    }
  });
});

describe('splice', () => {
  it('puts other bytes in place of some, wherever the pieces are cut', () => {
    const cuts = fc.array(fc.uint8Array({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(cuts, fc.nat(), fc.nat(), fc.uint8Array({ maxLength: 4 }), (parts, a, b, replacement) => {
        const pieces = parts.map((part) => Buffer.from(part));
        const whole = Buffer.concat(pieces);
        const [start, end] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y) as [
          number,
          number,
        ];
        const spliced = splice(pieces, { start, end }, Buffer.from(replacement));
        const expected = [whole.subarray(0, start), replacement, whole.subarray(end)];
        assert.deepEqual(Buffer.concat(spliced), Buffer.concat(expected));
      }),
      { numRuns: 2000 },
    );
  });
});
