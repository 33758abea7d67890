from typing import Any

import django.db.models.deletion
from django.db import migrations, models

NUMBER: Any = ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID'))


def keep_uncompressed(apps: Any, schema_editor: Any) -> None:
    """On PostgreSQL store the data outside of the row and uncompressed. Most uploads are compressed already, and a part
    of uncompressed data can be read without the rest."""
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute('ALTER TABLE "slipway_blobs_chunk" ALTER COLUMN "data" SET STORAGE EXTERNAL')


class Migration(migrations.Migration):

    initial = True

    operations = [
        migrations.CreateModel(name='Blob', fields=[
            NUMBER,
            ('name', models.CharField(max_length=512, null=True, unique=True)),
            ('size', models.BigIntegerField(default=0)),
            ('sha256', models.CharField(default='', max_length=64)),
            ('modified', models.DateTimeField(auto_now=True, db_index=True)),
            ('owned', models.BooleanField(default=False)),
        ]),
        migrations.CreateModel(name='Chunk', fields=[
            NUMBER,
            ('number', models.IntegerField()),
            ('data', models.BinaryField()),
            ('blob', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE,
                                       to='slipway_blobs.blob')),
        ], options={
            'constraints': [models.UniqueConstraint(fields=('blob', 'number'), name='slipway_blobs_chunk_of_blob')],
        }),
        migrations.RunPython(keep_uncompressed, migrations.RunPython.noop),
    ]
