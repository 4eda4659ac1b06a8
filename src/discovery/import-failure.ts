import { isNativeError } from 'node:util/types';
import { toError } from '../errors.ts';

/** Why an import failed, in words for the operator. */
export interface ImportFailure {
  /** One line, without paths of this machine. */
  readonly reason: string;
  readonly hint: string | undefined;
}

interface Advice {
  readonly code?: string;
  readonly message?: RegExp;
  readonly hint: string;
}

const ADVICE: readonly Advice[] = [
  {
    message: /^Cannot find (package|module) '[^./]/,
    hint: "Install that dependency: run npm install in the plugin's folder.",
  },
  {
    code: 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
    hint: 'Node does not strip types below node_modules: publish the package as JavaScript, or put its folder into plugins/.',
  },
  {
    code: 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
    hint: 'Node only strips types: avoid enum, namespace and parameter properties, or compile the plugin.',
  },
  {
    message: /^(module|exports|require|__dirname|__filename) is not defined/,
    hint: 'The file is CommonJS in a package of type "module": name it .cjs, or give it a package.json with "type": "commonjs".',
  },
  {
    message: /does not provide an export named/,
    hint: 'If that is a TypeScript type, import it with "import type".',
  },
];

/** Explains what `import()` rejected with: an error of Node's, or whatever the module threw. */
export function explainImport(thrown: unknown, root: string | null): ImportFailure {
  const reason = reasonOf(thrown);
  const code = codeOf(thrown);
  const advice = ADVICE.find(
    (entry) => (entry.code !== undefined && entry.code === code) || entry.message?.test(reason),
  );
  return { reason: withoutPaths(reason, root), hint: advice?.hint };
}

/** The first line of what a plugin threw, be it a string, `undefined`, or an object that throws when it is read. */
export function reasonOf(thrown: unknown): string {
  const [line = ''] = toError(thrown).message.split('\n', 1);
  return line === '' ? 'no reason was given' : line;
}

function codeOf(thrown: unknown): unknown {
  try {
    return isNativeError(thrown) && 'code' in thrown ? thrown.code : undefined;
  } catch {
    return undefined;
  }
}

/** Node appends who imported; what lies below the plugin's folder is shown from there. */
function withoutPaths(reason: string, root: string | null): string {
  const shown = reason.replace(/ imported from .*$/, '').replaceAll('file://', '');
  return root === null ? shown : shown.replaceAll(root, '.');
}
