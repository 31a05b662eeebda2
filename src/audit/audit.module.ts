import { Module } from '@nestjs/common';
import { ChangesModule } from '../changes/changes.module.js';
import { AuditController } from './audit.controller.js';
import { ChangesController } from './changes.controller.js';
import { Feed } from './feed.js';
import { RowsController } from './rows.controller.js';

@Module({
  imports: [ChangesModule],
  controllers: [AuditController, ChangesController, RowsController],
  providers: [Feed],
})
export class AuditModule {}
