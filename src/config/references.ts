import type { ConfigFile } from './file.ts';
import { copyPlain, own, type Path } from './plain.ts';
import { type Report, showPath } from './problems.ts';

const PREFIX = 'os.environ/';

/** The name in `os.environ/NAME`, LiteLLM's way to keep secrets out of the file; `null` for any other value. */
export function referenceName(value: unknown): string | null {
  return typeof value === 'string' && value.startsWith(PREFIX) ? value.slice(PREFIX.length) : null;
}

/** What `os.environ/…` in a text stands for. */
export interface References {
  /** Names that the file uses and that are set, to their values. */
  readonly values: ReadonlyMap<string, string>;
  /** The text itself, or the value that it refers to. A reference to what is not set stays as it is. */
  readonly resolve: (text: string) => string;
}

/** {@link References.resolve} over known values. */
export function resolver(values: ReadonlyMap<string, string>): References['resolve'] {
  return (text) => values.get(referenceName(text) ?? '') ?? text;
}

/**
 * Looks up all references in the given sections of the file, where they are read. One whose variable is unset or blank
 * is a problem.
 */
export function findReferences(
  file: ConfigFile,
  sections: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  report: Report,
  isRead: (path: Path) => boolean,
): References {
  const values = new Map<string, string>();
  const lookUp = (text: string, path: Path): string => {
    const name = referenceName(text);
    if (name === null || !isRead(path)) return text;
    const value = own(env, name);
    if (value !== undefined && value.trim() !== '') values.set(name, value);
    else report.problems.push(missing(file, path, name, value));
    return text;
  };
  for (const section of sections) copyPlain(own(file.root, section), lookUp, [section]);
  return { values, resolve: resolver(values) };
}

function missing(file: ConfigFile, path: Path, name: string, value: string | undefined): string {
  const seen = value === undefined ? 'is not set' : 'is blank';
  return `${file.locate(path)}: ${showPath(path)}: got ${PREFIX}${name}, but the variable ${name} ${seen}; expected it to be set`;
}
