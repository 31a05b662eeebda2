import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { EventStore } from '../event-store/event-store.js';
import { countSignals } from './counts.js';
import { Gauges, Watched } from './gauges.js';

/**
 * What a monitoring system reads. Work only counts. Whatever costs more is looked at when somebody asks, once for all who
 * ask at the same time.
 */
@Injectable()
export class Metrics implements OnModuleDestroy {
  /** Media type of {@link text}, with parameters. */
  readonly type = Registry.PROMETHEUS_CONTENT_TYPE;
  private readonly registry = new Registry();
  private readonly gauges: Gauges;
  private readonly stopCounting: () => void = () => undefined;
  private asked: Promise<string> | undefined;

  constructor(store: EventStore, watched: Watched, host: HttpAdapterHost) {
    this.gauges = new Gauges(this.registry, store, watched);
    const { httpAdapter }: Partial<HttpAdapterHost> = host;
    // The command line has no server, so nobody asks.
    if (!httpAdapter) return;
    collectDefaultMetrics({ register: this.registry });
    this.stopCounting = countSignals(this.registry);
  }

  /** All metrics in the text format of Prometheus. Comes within 3 seconds, whatever is away. */
  text(): Promise<string> {
    this.asked ??= this.read().finally(() => (this.asked = undefined));
    return this.asked;
  }

  onModuleDestroy(): void {
    this.stopCounting();
  }

  private async read(): Promise<string> {
    await this.gauges.refresh();
    return this.registry.metrics();
  }
}
