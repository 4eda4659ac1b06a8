import { readFile } from 'node:fs/promises';
import { readId, readObject, readTerms } from './terms.ts';
import type { VirtualKey } from './virtual-key.ts';

/**
 * Reads the static keys: `{ "keys": [{ "id", "hash": "sha256:<64 hex digits>", … }] }`.
 *
 * @throws Error names the file, the entry and what is wrong with it
 */
export async function readKeysFile(file: string): Promise<readonly VirtualKey[]> {
  try {
    const { keys } = readObject(JSON.parse(await readFile(file, 'utf8')));
    if (!Array.isArray(keys)) throw new Error('expected { "keys": [ … ] }');
    const read = keys.map(readEntry);
    refuseTwins(read);
    return read;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`keys_file ${JSON.stringify(file)}: ${why}`, { cause });
  }
}

function readEntry(entry: unknown, index: number): VirtualKey {
  try {
    const fields = readObject(entry);
    const digests = [{ sha256: readHash(fields.hash), until: null }];
    return { id: readId(fields.id), ...readTerms(fields, ['id', 'hash']), createdAt: null, digests };
  } catch (cause) {
    throw new Error(`keys[${index}]: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A key in clear is refused: it does not belong into a file. */
function readHash(value: unknown): string {
  const digits = typeof value === 'string' ? /^(?:sha256:)?([0-9a-f]{64})$/i.exec(value)?.[1] : undefined;
  if (digits !== undefined) return digits.toLowerCase();
  throw new Error('hash: expected "sha256:" and the 64 hex digits of the key’s SHA-256');
}

function refuseTwins(keys: readonly VirtualKey[]): void {
  const marks = new Set<string>();
  for (const { id, digests } of keys) {
    for (const mark of [`id "${id}"`, `hash ${digests[0]?.sha256}`]) {
      if (marks.has(mark)) throw new Error(`the ${mark} is there twice`);
      marks.add(mark);
    }
  }
}
