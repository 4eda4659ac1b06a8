/** One fenced block of a Markdown page. */
export interface FencedBlock {
  /** First word after the fence, for example `ts`. */
  readonly language: string;
  /** What follows it: the path that the block is the text of, or a flag. Empty when nothing does. */
  readonly label: string;
  readonly text: string;
  /** The nearest heading above, whatever its level. */
  readonly heading: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
}

/** A command of a `console` block and what it prints. */
export interface ConsoleStep {
  readonly command: string;
  /** `…` stands for any text within a line. */
  readonly output: string;
  /** The output comes in its own time: asked for until it is there. */
  readonly eventually: boolean;
}

/** What one section shows: files, and commands that are run beside a gateway started in their folder. */
export interface Example {
  readonly title: string;
  readonly files: Readonly<Record<string, string>>;
  readonly steps: readonly ConsoleStep[];
}

/** The fenced blocks of a page, in order. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  const lines = markdown.split('\n');
  let heading = '';
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    const fence = /^```(\S*) ?(.*)$/.exec(line);
    if (fence === null) continue;
    const end = lines.indexOf('```', at + 1);
    if (end === -1) throw new Error(`the fence of line ${at + 1} is never closed`);
    const text = `${lines.slice(at + 1, end).join('\n')}\n`;
    blocks.push({ language: fence[1] ?? '', label: fence[2] ?? '', text, heading, line: at + 1 });
    at = end;
  }
  return blocks;
}

/** True for a block whose label is a path. */
export function isFile({ language, label }: FencedBlock): boolean {
  return language !== 'console' && label !== '';
}

/** The sections of a page that have something to run. */
export function examplesOf(blocks: readonly FencedBlock[]): Example[] {
  const sections = Map.groupBy(blocks, ({ heading }) => heading);
  return [...sections]
    .map(([title, section]) => ({
      title,
      files: Object.fromEntries(section.filter(isFile).map(({ label, text }) => [label, text])),
      steps: section.filter(({ language }) => language === 'console').flatMap(stepsOf),
    }))
    .filter(({ steps }) => steps.length > 0);
}

/** A command goes on in the next line after a backslash; its output ends where the next command begins. */
function stepsOf({ text, label, line }: FencedBlock): ConsoleStep[] {
  const [before, ...rest] = text.split(/^\$ /m);
  if (before !== '') throw new Error(`the console block of line ${line} does not begin with "$ "`);
  return rest.map((step) => {
    const [command = ''] = /^(?:.*\\\n)*.*\n/.exec(step) ?? [];
    return {
      command: command.trimEnd(),
      output: step.slice(command.length).trimEnd(),
      eventually: label === 'eventually',
    };
  });
}

/** Cells of the first table below a heading, without its head and without backticks. */
export function tableBelow(markdown: string, heading: string): string[][] {
  const section = markdown.slice(markdown.indexOf(`${heading}\n`));
  const lines = section.slice(section.indexOf('\n|')).trimStart().split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(2, end).map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.replaceAll('`', '').trim()),
  );
}
