import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, opendir, readlink } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import type { PluginFiles } from './digest.ts';

/** One thing among a plugin's files. */
export interface TreeEntry {
  readonly path: string;
  /** The path below the plugin's root, with forward slashes. */
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link';
}

/**
 * All that a plugin consists of, folders before what they hold: a single file, else everything below its root. Links
 * are not followed; what is neither file, folder nor link is passed over. What vanishes meanwhile is passed over too.
 *
 * @param skips - true for a folder or file that does not count
 */
export async function* walkPlugin(
  { root, entry, isFile }: Pick<PluginFiles, 'root' | 'entry' | 'isFile'>,
  skips: (path: string, name: string) => boolean = () => false,
): AsyncGenerator<TreeEntry> {
  if (root === null || entry === null) return;
  if (isFile) yield { path: entry, name: basename(entry), kind: 'file' };
  else yield* walkFolder(root, root, skips);
}

async function* walkFolder(
  root: string,
  folder: string,
  skips: (path: string, name: string) => boolean,
): AsyncGenerator<TreeEntry> {
  for await (const item of await opendir(folder)) {
    const path = join(folder, item.name);
    if (skips(path, item.name)) continue;
    const name = relative(root, path).replaceAll(sep, '/');
    if (item.isFile()) yield { path, name, kind: 'file' };
    else if (item.isSymbolicLink()) yield { path, name, kind: 'link' };
    else if (item.isDirectory()) {
      yield { path, name, kind: 'folder' };
      yield* walkFolder(root, path, skips);
    }
  }
}

/**
 * A digest of a plugin's bytes, to tell one version from another. Unlike `digestPlugin` it has no opinion on what a
 * plugin may consist of: links may lead anywhere, and count as their text.
 */
export async function treeDigest(
  plugin: Pick<PluginFiles, 'root' | 'entry' | 'isFile'>,
  skips?: (path: string, name: string) => boolean,
): Promise<string> {
  const lines: string[] = [];
  for await (const { path, name, kind } of walkPlugin(plugin, skips)) {
    if (kind === 'file') lines.push(JSON.stringify([name, await digestFile(path)]));
    else if (kind === 'link') lines.push(JSON.stringify([name, 'link', await readlink(path)]));
  }
  return createHash('sha256').update(lines.sort().join('\n')).digest('base64');
}

/** What can be said of a plugin's files without reading them: names, sizes and times. Cheap enough to ask for often. */
export async function treeStamp(
  plugin: Pick<PluginFiles, 'root' | 'entry' | 'isFile'>,
  skips?: (path: string, name: string) => boolean,
): Promise<string> {
  const lines: string[] = [];
  for await (const { path, name, kind } of walkPlugin(plugin, skips)) {
    if (kind === 'folder') continue;
    const { size, mtimeMs, ctimeMs, ino } = await lstat(path);
    lines.push(JSON.stringify([name, size, mtimeMs, ctimeMs, ino]));
  }
  return createHash('sha256').update(lines.sort().join('\n')).digest('base64');
}

async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('base64');
}
