import type { GatewayError } from '../errors.ts';
import type { CallRecord } from '../plugin-api/exporter.ts';
import { costOf } from '../telemetry/call-stats.ts';
import { operationOf } from '../telemetry/gen-ai.ts';
import type { Call } from './call.ts';

/** The account of a finished call, for the exporters. */
export function toCallRecord(call: Call, error: GatewayError | null): CallRecord {
  const { answer } = call;
  return Object.freeze({
    id: call.id,
    surface: call.surface.name,
    operation: operationOf(call.surface.name),
    model: call.body.model,
    upstreamModel: call.candidate?.model ?? null,
    deployment: answer.attempts === 0 ? null : answer.deployment,
    provider: call.candidate?.provider ?? null,
    identity: call.identity?.id ?? null,
    stream: call.stream,
    status: answer.status,
    error: error?.code ?? null,
    attempts: answer.attempts,
    usage: call.usage,
    costUsd: costOf(call.usage, call.candidate),
    startedAt: call.startedAt,
    totalMs: call.totalMs,
    firstByteMs: call.firstByteMs,
    plugins: call.timeline?.plugins ?? [],
    firstTokenMs: call.stream && error === null ? call.firstByteMs : null,
    trace: call.trace,
  });
}
