import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  encodeFrame,
  encodeMessage,
  FRAME,
  type Frame,
  FrameReader,
  RubbishError,
} from '../../src/isolation/channel/frames.ts';

const LIMIT = 4096;
const frame: fc.Arbitrary<Frame> = fc.record(
  {
    kind: fc.constantFrom(...Object.values(FRAME)),
    stream: fc.nat({ max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

test('frames come out as they went in, wherever what carries them is cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat({ max: 200 })), (frames, cuts) => {
      assert.deepEqual(read(pieces(encode(frames), cuts)), frames);
    }),
  );
});

test('frames come out as they went in, one byte after the other', () => {
  const frames: Frame[] = [
    { kind: FRAME.MESSAGE, stream: 0, payload: Buffer.from('{"m":"x"}') },
    { kind: FRAME.END, stream: 7, payload: Buffer.alloc(0) },
    { kind: FRAME.DATA, stream: 0xffff_ffff, payload: Buffer.alloc(300, 1) },
  ];
  assert.deepEqual(read(Array.from(encode(frames), (byte) => Buffer.of(byte))), frames);
});

test('a message comes out as it went in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      const [frame] = read([encodeMessage(text)]);
      assert.deepEqual(frame, { kind: FRAME.MESSAGE, stream: 0, payload: Buffer.from(text) });
    }),
  );
});

test('a frame above the limit is refused by its header, before its payload is there', () => {
  const [header = new Uint8Array()] = encodeFrame(FRAME.DATA, 1, new Uint8Array(LIMIT + 1));
  assert.throws(() => read([Buffer.from(header.subarray(0, 9))]), RubbishError);
  assert.equal(read([encode([{ kind: FRAME.DATA, stream: 1, payload: Buffer.alloc(LIMIT) }])]).length, 1);
});

test('a kind that does not exist is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: FRAME.CANCEL + 1, max: 255 }), (kind) => {
      assert.throws(() => read([Buffer.from([0, 0, 0, 0, kind, 0, 0, 0, 0])]), RubbishError);
    }),
  );
});

test('rubbish is refused or read, and what is read is within the limit', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 64 })), (chunks) => {
      const frames: Frame[] = [];
      const reader = new FrameReader(LIMIT);
      try {
        for (const chunk of chunks) reader.push(Buffer.from(chunk), (each) => frames.push(each));
      } catch (error) {
        assert.ok(error instanceof RubbishError);
      }
      assert.ok(frames.every(({ payload }) => payload.length <= LIMIT));
    }),
  );
});

function encode(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.flatMap(({ kind, stream, payload }) => [...encodeFrame(kind, stream, payload)]),
  );
}

/** In pieces of these lengths, and what is left. */
function pieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  let rest = bytes;
  const cut = lengths.map((length) => {
    const piece = rest.subarray(0, length);
    rest = rest.subarray(length);
    return piece;
  });
  return [...cut, rest];
}

function read(chunks: readonly Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader(LIMIT);
  for (const chunk of chunks) reader.push(chunk, (each) => frames.push(each));
  return frames;
}
