import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Document, isAlias, isMap, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import { isRecord } from './plain.ts';
import type { Report } from './problems.ts';

const DEFAULT_NAMES: readonly string[] = ['gateway.yaml', 'gateway.yml', 'gateway.json'];
const EXPECTED_ROOT = 'a mapping with model_list, router_settings or plugins ({} for none)';

/** The configuration file, parsed but not yet understood. */
export interface ConfigFile {
  /** As the operator wrote it. */
  readonly name: string;
  /** The root mapping: a tree, no node of it refers to one above. */
  readonly root: Readonly<Record<string, unknown>>;
  /** `name:line:column` of the value at `path`, or of the nearest thing around it that the file spells out. */
  readonly locate: (path: readonly PropertyKey[]) => string;
}

/**
 * Reads `LLMROUTER_CONFIG`, or the first of `gateway.yaml`, `gateway.yml` and `gateway.json` in `cwd` that is there.
 * `null` when there is none, or when it cannot be used; the report says why.
 *
 * @param named - value of `LLMROUTER_CONFIG`, `null` when it is not set
 */
export function readConfigFile(named: string | null, cwd: string, report: Report): ConfigFile | null {
  const name = named ?? findDefault(cwd, report);
  if (name === null) return null;
  try {
    const bytes = readFileSync(resolve(cwd, name));
    // Drops the byte order mark that editors on Windows write, and refuses UTF-16, which has one too.
    return parseConfig(name, new TextDecoder('utf-8', { fatal: true }).decode(bytes), report);
  } catch (error) {
    const source = named === null ? name : `LLMROUTER_CONFIG: ${name}`;
    report.problems.push(`${source}: ${whyUnreadable(error, 'a YAML file')}`);
    return null;
  }
}

/** Parses the text of a configuration file; `null` when it cannot be used, the report says why. */
export function parseConfig(name: string, text: string, report: Report): ConfigFile | null {
  const lines = new LineCounter();
  // Pretty errors quote the lines around them, which may hold keys; silent would drop all documents but the first.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
    stringKeys: true,
    merge: true,
  });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const problems = [
    ...[...document.errors, ...document.warnings].map((error) => `${at(error.pos[0])}: ${sentence(error)}`),
    ...badAliases(document).map(
      (offset) => `${at(offset)}: this alias leads nowhere, or to what contains it`,
    ),
  ];
  if (problems.length > 0) {
    report.problems.push(...problems);
    return null;
  }
  const root = rootOf(document);
  if (typeof root === 'string') {
    report.problems.push(`${at(0)}: ${root}`);
    return null;
  }
  return { name, root, locate: (path) => at(offsetOf(document, path)) };
}

function findDefault(cwd: string, report: Report): string | null {
  const [first, ...rest] = DEFAULT_NAMES.filter((name) => isThere(resolve(cwd, name)));
  for (const name of rest) {
    report.warnings.push(`${name}: not read, because there is ${first}; set LLMROUTER_CONFIG to choose`);
  }
  return first ?? null;
}

// What is there but cannot be read is found here, so that reading it says why.
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/**
 * Why a file cannot be read as text.
 *
 * @throws what is no error of reading
 */
export function whyUnreadable(error: unknown, expected: string): string {
  if (!(error instanceof Error) || !('code' in error)) throw error;
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
    return `there is no such file; expected ${expected}`;
  if (error.code === 'EISDIR') return `is a folder; expected ${expected}`;
  if (error.code === 'EACCES' || error.code === 'EPERM') return 'may not be read by this user';
  if (error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return `is not UTF-8 text; expected ${expected}`;
  return `cannot be read (${String(error.code)})`;
}

function rootOf(document: Document): Readonly<Record<string, unknown>> | string {
  if (document.contents === null) return `the file is empty; expected ${EXPECTED_ROOT}`;
  try {
    const root: unknown = document.toJS();
    if (isRecord(root)) return root;
    return `the file holds ${Array.isArray(root) ? 'a list' : 'a single value'}; expected ${EXPECTED_ROOT}`;
  } catch {
    // The parser's own limit, against a short file that expands into gigabytes.
    return 'too many aliases; expected at most 100 uses of one anchor';
  }
}

// The tails that are cut off quote the file, and may hold a key.
function sentence(error: { readonly code: string; readonly message: string }): string {
  if (error.code === 'BAD_DQ_ESCAPE') return 'invalid escape sequence';
  if (error.code === 'DUPLICATE_KEY') return 'this key stands twice in one mapping; expected once';
  if (error.code === 'MULTIPLE_DOCS') return 'a second document begins here; expected one';
  return error.message.replace(/(?<! ): .*$|(?<=scalar )".*$/s, '');
}

function badAliases(document: Document): number[] {
  const offsets: number[] = [];
  visit(document, {
    Alias(_key, alias, ancestors) {
      const target = alias.resolve(document);
      if (target === undefined || ancestors.includes(target)) offsets.push(alias.range?.[0] ?? 0);
    },
  });
  return offsets;
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => keyOf(item.key) === part);
      if (pair === undefined) return offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = startOf(node) ?? offset;
    }
  }
  return offset;
}

function keyOf(key: unknown): unknown {
  return typeof key === 'object' && key !== null && 'value' in key ? key.value : key;
}

function startOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  return Array.isArray(node.range) ? Number(node.range[0]) : undefined;
}
