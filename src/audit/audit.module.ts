import { Module } from '@nestjs/common';
import { AuditController } from './audit.controller.js';
import { RowsController } from './rows.controller.js';

@Module({ controllers: [AuditController, RowsController] })
export class AuditModule {}
