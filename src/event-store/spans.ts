import {
  context,
  createContextKey,
  SpanStatusCode,
  trace,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
} from '@opentelemetry/api';
import { DomainError } from '../domain-error.js';
import type { EventMetadata } from './event-store.js';

const tracer = trace.getTracer('colophon');
const UNTRACED = createContextKey('colophon untraced');

/** A batch has up to 5,000 events. Collectors keep 128 links of a span at most. */
export const MOST_LINKS = 32;

let found = false;

/** Whether an SDK is loaded. Without an SDK, the API gives spans that have no id. */
export function isTracing(): boolean {
  // The span of this probe is never ended, so it is never exported.
  found ||= trace.isSpanContextValid(tracer.startSpan('probe').spanContext());
  return found;
}

/**
 * Runs work in a span, a child of the active span. Without an SDK, only runs the work.
 * A failure gives the span the broken rule, or the error's class. Messages may hold personal text, so the span doesn't
 * get the message.
 * @param options asked for only if there is an SDK.
 * @param isFailure says no of an error that only ends the work, such as a stop. The span is then no error.
 */
export function inSpan<T>(
  name: string,
  options: () => SpanOptions,
  work: (span?: Span) => Promise<T>,
  isFailure: (error: unknown) => boolean = () => true,
): Promise<T> {
  if (!isTracing() || context.active().getValue(UNTRACED) === true) return work();
  return tracer.startActiveSpan(name, options(), async (span) => {
    try {
      return await work(span);
    } catch (error) {
      span.setAttribute('error.type', typeOf(error));
      if (isFailure(error)) span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

function typeOf(error: unknown): string {
  if (error instanceof DomainError) return error.rule;
  return error instanceof Error ? error.constructor.name : typeof error;
}

/** Runs work in which {@link inSpan} makes no spans: work whose number of parts has no bound, such as an import. */
export const withoutSpans = <T>(work: () => T): T =>
  isTracing() ? context.with(context.active().setValue(UNTRACED, true), work) : work();

/** Starts a span whose end the caller knows: see {@link inSpan}. */
export const startSpan = (name: string, options: SpanOptions, parent = context.active()): Span =>
  tracer.startSpan(name, options, parent);

/**
 * Reads a W3C `traceparent`; undefined if it is not valid. The standard says to ignore such a text:
 * https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function readTraceParent(text: unknown): SpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] =
    (typeof text === 'string' && /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/.exec(text)) ||
    [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return trace.isSpanContextValid(parent) ? parent : undefined;
}

/** The active span as a W3C `traceparent`; undefined unless the span is recorded. */
export function activeTraceParent(): string | undefined {
  const span = trace.getActiveSpan();
  if (!span?.isRecording()) return undefined;
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** Links to the traces that wrote the events, one for each trace, {@link MOST_LINKS} at most. */
export function linksTo(events: Iterable<{ readonly metadata: Pick<EventMetadata, 'traceParent'> }>): Link[] {
  const links = new Map<string, Link>();
  for (const { metadata } of events) {
    const parent = readTraceParent(metadata.traceParent);
    if (parent && !links.has(parent.traceId)) links.set(parent.traceId, { context: parent });
    if (links.size === MOST_LINKS) break;
  }
  return [...links.values()];
}
