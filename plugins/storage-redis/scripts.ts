import { createHash } from 'node:crypto';
import type { Client } from './connection.ts';

/** A Lua script that the server runs without anybody in between. It has one key. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

/**
 * Adds to a counter; a new one gets a time to live (0: none). Arguments: amount, milliseconds. Values are JSON texts:
 * no double loses by `%.17g`.
 */
export const INCREMENT: Script = define(`
  local current = redis.call('GET', KEYS[1])
  if not current then
    if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])
    else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
    return ARGV[1]
  end
  local number = tonumber(current)
  if not number then return redis.error_reply('NOTNUMBER the key does not hold a number') end
  local sum = number + tonumber(ARGV[1])
  if sum ~= sum or sum == math.huge or sum == -math.huge then
    return redis.error_reply('NOTNUMBER the sum is not finite')
  end
  local text = string.format('%.17g', sum)
  redis.call('SET', KEYS[1], text, 'KEEPTTL')
  return text
`);

/**
 * Sets a value if the current one is as expected. Arguments: expected ('' stands for an absent key, since no JSON text
 * is empty), value, milliseconds. Numbers are compared as such: counters are not written the way JavaScript writes them.
 */
export const COMPARE_AND_SET: Script = define(`
  local current = redis.call('GET', KEYS[1])
  local same
  if not current then same = ARGV[1] == ''
  else
    same = current == ARGV[1]
    if not same and tonumber(current) then same = tonumber(current) == tonumber(ARGV[1]) end
  end
  if not same then return 0 end
  if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
  else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
  return 1
`);

/** Runs a script by its digest; a server that does not know it yet (it was restarted) gets the text. */
export async function runScript(
  client: Client,
  { text, sha1 }: Script,
  key: string,
  args: readonly string[],
): Promise<unknown> {
  const options = { keys: [key], arguments: [...args] };
  try {
    return await client.evalSha(sha1, options);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.eval(text, options);
  }
}

function define(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}
