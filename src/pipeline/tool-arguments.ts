import type { ErrorObject, Options } from 'ajv';

type Schema = Readonly<Record<string, unknown>>;

/** What is wrong with a call's arguments, for the model or the person that made them; `null`: nothing. */
export type ArgumentsCheck = (args: Readonly<Record<string, unknown>>) => string | null;

/** More would hide what matters. */
const MAX_FINDINGS = 5;

const OPTIONS: Options = {
  allErrors: true,
  ownProperties: true,
  // Schemas of other people's tools: unknown keywords and formats are annotations.
  strict: false,
  strictNumbers: true,
  validateFormats: false,
  logger: false,
};

/**
 * Compiles a tool's `inputSchema`: JSON Schema 2020-12, or draft 7 when its `$schema` says so. Source: MCP
 * specification 2025-11-25, "JSON Schema Usage".
 *
 * @throws Error saying what is wrong with the schema
 */
export async function compileArgumentsCheck(schema: Schema): Promise<ArgumentsCheck> {
  const ajv = await createAjv(schema);
  const validate = ajv.compile(schema);
  return (args) => (validate(args) ? null : describe(validate.errors ?? []));
}

/** Loaded when a tool is called for the first time: most gateways have none. */
async function createAjv({ $schema }: Schema): Promise<InstanceType<typeof import('ajv').Ajv>> {
  if (/draft-0[67]/.test(String($schema))) return new (await import('ajv')).Ajv(OPTIONS);
  return new (await import('ajv/dist/2020.js')).Ajv2020(OPTIONS);
}

function describe(errors: readonly ErrorObject[]): string {
  const findings = [...new Set(errors.map(describeOne))];
  const more = findings.length - MAX_FINDINGS;
  return findings.slice(0, MAX_FINDINGS).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

function describeOne({ instancePath, keyword, message, params }: ErrorObject): string {
  const where = instancePath === '' ? 'the arguments' : `"${instancePath.slice(1)}"`;
  if (keyword === 'additionalProperties') return `${where} must not have "${params.additionalProperty}"`;
  if (keyword === 'enum') return `${where} must be one of ${JSON.stringify(params.allowedValues)}`;
  return `${where} ${message}`;
}
