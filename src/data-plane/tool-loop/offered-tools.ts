import { GatewayError } from '../../errors.ts';
import type { Tool } from '../../plugin-api/tools.ts';

/** As OpenAI's API has them: a tool may be called anything in MCP. */
const MAX_NAME = 64;

/**
 * The gateway's tools by the names that a model may know them by: other characters than letters, digits, `_` and `-`
 * become `_`.
 *
 * @throws GatewayError `invalid_request`, when a tool of the client's has one of these names, or two tools become one
 */
export function nameForModel(tools: readonly Tool[], own: ReadonlySet<string>): ReadonlyMap<string, Tool> {
  const byName = new Map<string, Tool>();
  for (const tool of tools) {
    const name = tool.name.replace(/[^\w-]/g, '_').slice(0, MAX_NAME);
    if (own.has(name)) throw refused(`The request's tool "${name}" has the name of a tool of the gateway`);
    const other = byName.get(name);
    if (other !== undefined) {
      throw refused(
        `The gateway's tools "${other.name}" and "${tool.name}" are one name for a model, "${name}"`,
      );
    }
    byName.set(name, tool);
  }
  return byName;
}

function refused(message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param: 'tools' });
}
