import type { Counter, Plugin, PluginSettings, Verdict } from 'routeiq-gateway/plugin';
import { type GuardSettings, toRules } from './rules.ts';
import { type Finding, Scanner } from './scanner.ts';

/** Masks or blocks personal data and keys, in prompts and in answers. */
const plugin: Plugin = {
  startup(app, { settings, metrics }) {
    if (!settings.get('enabled', true)) return;
    const window = settings.get('window', 256);
    const scanner = new Scanner(toRules(readSettings(settings)), 2 * window);
    const directions = settings.get<string>('directions', 'both');
    const found = metrics.counter('found', {
      help: 'Data that was found, by kind, direction and action',
      labelNames: ['entity', 'direction', 'action'],
    });

    if (directions !== 'output') {
      app.evaluator({
        name: 'pii in prompts',
        mode: 'block',
        input({ text }) {
          const findings = scanner.scan(text);
          count(found, 'input', findings);
          return toVerdict(findings, 'request');
        },
      });
    }
    if (directions !== 'input') {
      app.evaluator({
        name: 'pii in answers',
        mode: 'block',
        window,
        output(request, { text, final }) {
          const findings = scanner.scanMore(request, text);
          const verdict = toVerdict(findings, 'answer');
          // A stream is judged many times: what is found in it counts once.
          if (final || verdict?.action === 'block') count(found, 'output', findings);
          return verdict;
        },
      });
    }
  },
};

export default plugin;

function readSettings(settings: PluginSettings): GuardSettings {
  return {
    action: settings.get('action', 'mask'),
    entities: settings.get('entities', {}),
    replacement: settings.get('replacement', '[{entity}]'),
    patterns: settings.get('patterns', []),
  };
}

function toVerdict(findings: readonly Finding[], where: string): Verdict | undefined {
  const blocking = findings.find(({ rule }) => rule.action === 'block');
  if (blocking !== undefined) {
    // The kind alone: the message goes to clients and logs, where the data itself has no place.
    return { action: 'block', message: `The ${where} holds data of the kind "${blocking.rule.entity}"` };
  }
  if (findings.length === 0) return undefined;
  const spans = findings.map(({ start, end, rule: { replacement } }) => ({ start, end, replacement }));
  return { action: 'mask', spans };
}

function count(found: Counter, direction: string, findings: readonly Finding[]): void {
  for (const { rule } of findings) found.inc({ entity: rule.entity, direction, action: rule.action });
}
