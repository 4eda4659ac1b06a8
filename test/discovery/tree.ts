import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

/** A file's text, JSON for an object, a link's target, or `null` for an empty folder. */
export type TreeNode = string | Readonly<Record<string, unknown>> | { readonly link: string } | null;

/** Writes a folder of files below the system's temporary folder, removed when the test ends. Returns its real path. */
export function tree(t: TestContext, files: Readonly<Record<string, TreeNode>>): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'routeiq-discovery-')));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  addFiles(root, files);
  return root;
}

/** Writes further files into a folder that {@link tree} made. */
export function addFiles(root: string, files: Readonly<Record<string, TreeNode>>): void {
  for (const [name, node] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(node === null ? path : dirname(path), { recursive: true });
    if (node === null) continue;
    if (typeof node === 'string') writeFileSync(path, node);
    else if (typeof node.link === 'string') symlinkSync(node.link, path);
    else writeFileSync(path, JSON.stringify(node));
  }
}

/** Source of a plugin class, exported as default, that says who it is. */
export function pluginSource(name: string, ...capabilities: string[]): string {
  return `export default class {
    metadata = { name: ${JSON.stringify(name)}, capabilities: ${JSON.stringify(capabilities)} };
    startup() {}
  }`;
}
