import { isUtf8 } from 'node:buffer';

/** Bytes within a JSON message: text where they are text, which is shorter and cheaper than base64. */
export type PackedBytes = { readonly text: string } | { readonly base64: string };

/** Bytes that cross within a message. More of them are a stream, whose reader can hold them up. */
export const MAX_PACKED_BYTES = 65_536;

/** The same bytes come out of {@link unpackBytes}. */
export function packBytes(bytes: Buffer): PackedBytes {
  return isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') };
}

export function unpackBytes(packed: PackedBytes): Buffer {
  return 'text' in packed ? Buffer.from(packed.text) : Buffer.from(packed.base64, 'base64');
}
