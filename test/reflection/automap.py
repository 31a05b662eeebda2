"""Prints what SQLAlchemy's automap finds in a schema: automap.py URL SCHEMA"""
import sys

from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy.ext.automap import automap_base

url, schema = sys.argv[1:]
engine = create_engine(url.replace("postgres://", "postgresql+psycopg2://"))
metadata = MetaData(schema=schema)
metadata.reflect(engine)
Base = automap_base(metadata=metadata)
Base.prepare()
for name, model in sorted(Base.classes.items()):
    mapper = inspect(model)
    print(name, "key", ",".join(column.name for column in mapper.primary_key))
    for relation in sorted(mapper.relationships, key=lambda one: one.key):
        print(name, "refers to" if relation.direction.name == "MANYTOONE" else "is referred to by", relation.target)
