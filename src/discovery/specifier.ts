import { PluginLoadError, PluginSecurityError } from '../errors.ts';

/** One way to understand a specifier. */
export interface SpecifierReading {
  readonly kind: 'package' | 'path';
  /** `@acme/guard`, `mypackage/myplugin`, `./plugins/hello`, `/opt/p/index.js`. */
  readonly module: string;
  /** `null`: `default`, else the only exported plugin. */
  readonly exportName: string | null;
}

/** A plugin specifier, taken apart. */
export interface Specifier {
  /** As the operator wrote it. */
  readonly text: string;
  /** The text without `#Export`. */
  readonly module: string;
  /** What follows `#`. */
  readonly exportName: string | null;
  /** What it may stand for; the first that exists wins. */
  readonly readings: readonly SpecifierReading[];
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const URL_SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const CODE_SUFFIXES = ['js', 'mjs', 'cjs', 'ts'];
const FORMS = 'a package or a path, both with an optional #Export, or the dotted mypackage.myplugin.MyPlugin';

/**
 * Takes a plugin specifier apart, without a look at the disk.
 *
 * A dotted text (`mypackage.myplugin.MyPlugin`) is the module `mypackage/myplugin` with the export `MyPlugin`. Names of
 * packages may have dots too (`socket.io`): such a package wins, unless the last part begins in upper case, which no
 * package's name does. What looks like a package and is none may be a path below the working directory.
 *
 * Source: the plugin document, heading "Enable the Plugin".
 *
 * @throws PluginSecurityError `plugin_security`: a `..` in any spelling, a URL, a control character
 * @throws PluginLoadError `plugin_load`: none of the forms
 * @example
 * ```ts
 * parseSpecifier('@acme/guard#Guard').readings[0]; // { kind: 'package', module: '@acme/guard', exportName: 'Guard' }
 * ```
 */
export function parseSpecifier(text: string): Specifier {
  refuseUnsafe(text);
  const [module, exportName] = splitExport(text);
  if (isPath(module)) return specifier(text, module, exportName, [{ kind: 'path', module, exportName }]);
  const whole: SpecifierReading[] = [
    { kind: 'package', module, exportName },
    { kind: 'path', module: `./${module}`, exportName },
  ];
  const parts = text.split('.');
  if (!isDotted(parts)) return specifier(text, module, exportName, whole);
  const dotted = dottedReadings(parts);
  const readings = /^\p{Lu}/u.test(parts.at(-1) ?? '') ? dotted : [...whole, ...dotted];
  return specifier(text, module, exportName, readings);
}

function specifier(
  text: string,
  module: string,
  exportName: string | null,
  readings: readonly SpecifierReading[],
): Specifier {
  return Object.freeze({ text, module, exportName, readings: Object.freeze(readings) });
}

/**
 * Refuses texts that lead elsewhere than they seem to.
 *
 * @throws PluginSecurityError `plugin_security`: a `..` in any spelling, a URL, a control character
 * @throws PluginLoadError `plugin_load`: nothing, or a backslash
 */
export function refuseUnsafe(text: string): void {
  const seen = JSON.stringify(text);
  if (text.trim() === '')
    throw new PluginLoadError(`The plugin specifier ${seen} is empty; expected ${FORMS}`);
  if (/\p{Cc}/u.test(text)) {
    throw new PluginSecurityError('plugin_security', `The plugin specifier ${seen} has a control character`);
  }
  if (URL_SCHEME.test(text)) {
    throw new PluginSecurityError(
      'plugin_security',
      `The plugin specifier ${seen} is a URL; expected ${FORMS}`,
    );
  }
  if (hasParentSegment(text)) {
    throw new PluginSecurityError('plugin_security', `The plugin specifier ${seen} leads through ".."`, {
      hint: 'Write the path without "..", absolute if need be.',
    });
  }
  if (text.includes('\\')) {
    throw new PluginLoadError(`The plugin specifier ${seen} has a backslash; expected "/" between folders`);
  }
}

/**
 * True when any segment is `..`. Node resolves module names as URLs, in which `%2e%2e` is `..` as well, so the text is
 * decoded first, however often it was encoded.
 */
export function hasParentSegment(text: string): boolean {
  let decoded = text;
  for (let before = ''; before !== decoded; ) {
    before = decoded;
    decoded = decoded.replace(/%(2e|2f|5c|23|25)/gi, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    );
  }
  return decoded.split(/[/\\#]/).includes('..');
}

function splitExport(text: string): [module: string, exportName: string | null] {
  const at = text.lastIndexOf('#');
  if (at === -1) return [text, null];
  const [module, exportName] = [text.slice(0, at), text.slice(at + 1)];
  if (module !== '' && IDENTIFIER.test(exportName)) return [module, exportName];
  throw new PluginLoadError(
    `The plugin specifier ${JSON.stringify(text)} has no module before "#" or no export's name after it; expected ${FORMS}`,
  );
}

function isPath(module: string): boolean {
  return module === '.' || module.startsWith('./') || module.startsWith('/');
}

function isDotted(parts: readonly string[]): boolean {
  return (
    parts.length > 1 &&
    parts.every((part) => IDENTIFIER.test(part)) &&
    !CODE_SUFFIXES.includes(parts.at(-1) ?? '')
  );
}

function dottedReadings(parts: readonly string[]): SpecifierReading[] {
  const module = parts.slice(0, -1).join('/');
  const exportName = parts.at(-1) ?? null;
  return [
    { kind: 'package', module, exportName },
    { kind: 'path', module: `./${module}`, exportName },
  ];
}
